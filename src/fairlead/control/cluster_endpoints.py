"""Endpoints of a Kubernetes cluster: applied, and followed until what is asked for is live."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.errors import Failed, NotFound, Transient
from fairlead.kube.client import Cluster
from fairlead.kube.kinds import API_VERSION, ENDPOINTS

_EVERY = 0.5
"""Seconds between two looks at an Endpoint."""
_TAKEN_BACK = {"TakenBack", "Refused", "NoChampion"}
"""Reasons for which what is asked for is not deployed, and will not be."""
_NOT_TAKEN_UP = "the operator has not taken it up yet"


@dataclass(frozen=True, kw_only=True)
class EndpointRequest:
    """What is to be served on a cluster.

    Args:
        model: Name of the model, and of the Endpoint.
        version: Which; the champion, and each that follows it, if None.
        canary: Percents of the traffic; those of the model's spec if None.
        least: Replicas at least.
        most: Replicas at most.
        service: How it is reached by an address, each field of it.
        ingress: How it is reached by a name, each field of it.

    Replicas and ways in that are None stay as they are.
    """

    model: str
    version: int | None = None
    canary: tuple[int, ...] | None = None
    least: int | None = None
    most: int | None = None
    service: Mapping[str, Any] | None = None
    ingress: Mapping[str, Any] | None = None

    def change(self) -> Mapping[str, Any]:
        """What is another field of an Endpoint that is there; None for what is no field any more.

        Without a version it is the champion again, and without a canary that of the model's spec.
        """
        known = _without_none(self._asked())
        return {**known, "version": self.version, "canary": self._asked()["canary"]}

    def object(self) -> Mapping[str, Any]:
        """The Endpoint, where there is none."""
        known = _without_none(self._asked())
        nested = {key: _without_none(known[key]) for key in ("service", "ingress") if key in known}
        return {
            "apiVersion": API_VERSION,
            "kind": ENDPOINTS.name,
            "metadata": {"name": self.model},
            "spec": {**known, **nested},
        }

    def _asked(self) -> Mapping[str, Any]:
        return {
            "model": self.model,
            "version": self.version,
            "canary": None if self.canary is None else list(self.canary),
            "min": self.least,
            "max": self.most,
            "service": self.service,
            "ingress": self.ingress,
        }


def _without_none(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


def apply(cluster: Cluster, request: EndpointRequest) -> int:
    """Have the Endpoint be as it is asked for.

    Returns:
        The generation of the object: what is asked for, counted.

    Raises:
        Invalid: The API server refuses it.
        NotFound: The cluster does not know the kind: nothing is installed there.
    """
    kind = ENDPOINTS.resource
    try:
        cluster.get(kind, request.model)
    except NotFound:
        applied = cluster.apply(kind.from_dict(dict(request.object())))
    else:
        cluster.merge(kind, request.model, {"spec": request.change()})
        applied = cluster.get(kind, request.model)
    assert applied.metadata is not None
    return applied.metadata.generation or 0


def follow(
    cluster: Cluster,
    model: str,
    generation: int,
    *,
    timeout: float | None,
    on_message: Callable[[str], None],
) -> Mapping[str, Any]:
    """Wait until the Endpoint is ready and has the version that is asked for.

    Args:
        cluster: Where it is.
        model: Its name.
        generation: What is asked for.
        timeout: Seconds; None for any.
        on_message: Called with each thing that it waits for.

    Returns:
        Its status.

    Raises:
        Failed: The version was refused or taken back, or is not live in time.
        NotFound: It was deleted.
    """
    deadline, said = None if timeout is None else time.monotonic() + timeout, ""
    while True:
        status = _status(cluster, model)
        told = {one["type"]: one for one in status.get("conditions", ())}
        if status.get("observedGeneration") == generation and told:
            if all(one["status"] == "True" for one in told.values()):
                return status
            if told["Deployed"]["reason"] in _TAKEN_BACK:
                raise Failed(f"Endpoint {model!r}: {told['Deployed']['message']}")
        message = str(status.get("message") or _NOT_TAKEN_UP)
        if message != said:
            said = message
            on_message(message)
        if deadline is not None and time.monotonic() > deadline:
            raise Failed(f"Endpoint {model!r} is not live after {timeout:g} s: {message}")
        time.sleep(_EVERY)


def _status(cluster: Cluster, model: str) -> Mapping[str, Any]:
    try:
        found: Any = cluster.get(ENDPOINTS.resource, model).status
    except Transient:  # the API server is away for a moment: the wait has its own end
        return {}
    return dict(found or {})
