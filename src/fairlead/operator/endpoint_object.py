"""An Endpoint as a cluster keeps it: a model, served by some replicas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from fairlead.errors import Invalid


@dataclass(frozen=True, kw_only=True)
class EndpointObject:
    """What an Endpoint asks for.

    Args:
        name: Of the object, and of its Service.
        namespace: Where it is.
        uid: Its own, for as long as it is there.
        model: Whose versions are served.
        version: Which; the champion if None.
        canary: Percents of the traffic, rising to 100; those of the model's spec if None.
        least: Replicas at least.
        most: Replicas at most.
        sleep_after: Seconds without a request after which there is no replica, where least is 0.
        cpu: Cores that each asks for, as Kubernetes writes it.
        memory: Memory that each asks for, and may take.
    """

    name: str
    namespace: str
    uid: str
    model: str
    version: int | None = None
    canary: tuple[int, ...] | None = None
    least: int = 1
    most: int = 1
    sleep_after: float = 60.0
    cpu: str = "250m"
    memory: str = "768Mi"

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Self:
        """The Endpoint of an object, whose form the API server has checked.

        Raises:
            Invalid: More replicas are asked for at least than at most.
        """
        metadata, spec = body["metadata"], body["spec"]
        resources: Mapping[str, Any] = spec.get("resources", {})
        least = spec.get("min", cls.least)
        most = spec.get("max", max(least, 1))
        if least > most:
            raise Invalid(f"spec: min {least} is more than max {most}")
        canary = spec.get("canary")
        return cls(
            name=metadata["name"],
            namespace=metadata["namespace"],
            uid=metadata["uid"],
            model=spec["model"],
            version=spec.get("version"),
            canary=None if canary is None else tuple(canary),
            least=least,
            most=most,
            sleep_after=float(spec.get("sleepAfterSeconds", cls.sleep_after)),
            cpu=str(resources.get("cpu", cls.cpu)),
            memory=str(resources.get("memory", cls.memory)),
        )

    def asked(self, version: int) -> str:
        """Names a deployment of this version as it is asked for: each is begun once."""
        steps = "" if self.canary is None else f" by {','.join(map(str, self.canary))} %"
        return f"{self.model} v{version}{steps}"
