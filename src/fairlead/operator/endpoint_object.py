"""An Endpoint as a cluster keeps it: a model, served by some replicas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from fairlead.errors import Invalid


@dataclass(frozen=True, kw_only=True)
class IngressChoice:
    """By which name clients outside of the cluster reach an Endpoint.

    Args:
        host: That they ask for.
        ingress_class: Whose controller serves it; the cluster's default one if None.
        tls_secret: Name of the Secret of the host's certificate; plain HTTP if None.
    """

    host: str
    ingress_class: str | None = None
    tls_secret: str | None = None

    @classmethod
    def read(cls, given: Mapping[str, Any] | None) -> Self | None:
        """What an object says of it; None for nothing."""
        if given is None:
            return None
        return cls(
            host=given["host"],
            ingress_class=given.get("className"),
            tls_secret=given.get("tlsSecret"),
        )


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
        node_port: Whether each node answers for it at a port.
        port: Which; one that the cluster chooses if None.
        ingress: Likewise a name; None for none.
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
    node_port: bool = False
    port: int | None = None
    ingress: IngressChoice | None = None

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
        canary, service = spec.get("canary"), spec.get("service", {})
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
            node_port=service.get("type") == "NodePort",
            port=service.get("nodePort"),
            ingress=IngressChoice.read(spec.get("ingress")),
        )

    def url(self, *, at_node: str) -> str:
        """Where clients ask for a prediction: outside of the cluster, where that is asked for.

        Args:
            at_node: Address and port of a node that answers; empty where none is known.
        """
        scheme, host = "http", f"{self.name}.{self.namespace}.svc"
        if self.ingress:
            scheme = "https" if self.ingress.tls_secret else "http"
            host = self.ingress.host
        elif at_node:
            host = at_node
        return f"{scheme}://{host}/models/{self.model}:predict"

    def asked(self, version: int) -> str:
        """Names a deployment of this version as it is asked for: each is begun once."""
        steps = "" if self.canary is None else f" by {','.join(map(str, self.canary))} %"
        return f"{self.model} v{version}{steps}"
