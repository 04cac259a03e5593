"""The loop of an Endpoint: its objects as they are to be, its version deployed, and how it is.

The ledger has routes and deployments, and the replicas carry them out as servers do everywhere. So
a canary, an undo and a smoke test are the same on a cluster as on one machine.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from lightkube.models.core_v1 import PodStatus
from lightkube.resources.apps_v1 import Deployment as Replicas
from lightkube.resources.core_v1 import Pod, Service

from fairlead.control.deployments import DeployRequest, deploy
from fairlead.control.endpoints import traffic_in_words
from fairlead.control.events import Event
from fairlead.errors import FairleadError, NotFound, Transient
from fairlead.kube.client import Cluster
from fairlead.kube.install.installation import SERVING_PORT
from fairlead.kube.install.readiness import Surroundings, readiness
from fairlead.kube.place import PodPlace, PodSettings
from fairlead.operator.activity import ActivityWatch
from fairlead.operator.conditions import Report
from fairlead.operator.endpoint_decide import (
    Deploy,
    EndpointView,
    Leave,
    next_step,
    noted_of_deploy,
    status_of,
)
from fairlead.operator.endpoint_object import EndpointObject
from fairlead.operator.endpoint_scale import AWAKE, Activity, Scale, next_scale, scale_of
from fairlead.operator.replicas import (
    ENDPOINT_LABEL,
    OPTIONAL,
    Replica,
    as_many,
    digest_of,
    is_owned,
    name_of,
    objects,
    refuse_other,
)
from fairlead.records import Deployment, Route
from fairlead.stores import Stores

_LOG = logging.getLogger(__name__)
_ALL = 100  # percent


@dataclass(frozen=True, kw_only=True)
class _Applied:
    """What was applied, by its digest, and the port of the nodes that its Service has."""

    digest: str
    port: int | None


@dataclass(kw_only=True)
class EndpointReconciler:
    """Keeps Endpoints as they are asked for.

    Args:
        cluster: Where they are.
        stores: Where versions, routes and deployments are.
        place: As what replicas run.
        settings: Where they read where the stores are.
        watch: Tells how busy Endpoints are that may sleep.
        clock: The time, in seconds.
    """

    cluster: Cluster
    stores: Stores
    place: PodPlace
    settings: PodSettings
    watch: ActivityWatch
    clock: Callable[[], float] = time.time

    def reconcile(self, endpoint: EndpointObject, status: Mapping[str, Any]) -> Report:
        """Do what is next, and say how the Endpoint is then.

        Args:
            endpoint: What is asked for.
            status: What was said of it last.
        """
        replicas = self._replicas(endpoint)
        scale = self._scale(endpoint, replicas, status)
        applied = self._applied(endpoint, scale, replicas, status)
        url = endpoint.url(at_node=self._at_node(endpoint, applied, status))
        view = self._view(endpoint, replicas, scale, status, url)
        match next_step(view):
            case Deploy(version=version):
                noted = noted_of_deploy(view.asked, self._deploy(endpoint, version))
                view = self._view(endpoint, replicas, scale, noted, url)
            case Leave():
                pass
        fields, told = status_of(view)
        own = {
            "applied": applied.digest,
            "nodePort": applied.port,
            "begun": view.begun,
            "refused": view.refused,
            "scale": scale.state,
        }
        return Report(fields={**fields, **own}, conditions=told)

    def _scale(
        self, endpoint: EndpointObject, replicas: Replicas | None, status: Mapping[str, Any]
    ) -> Scale:
        """How it is to be served: asleep, awake, or on its way from one to the other."""
        if endpoint.least:
            return AWAKE
        ready = (replicas.status.readyReplicas if replicas and replicas.status else 0) or 0
        last = self._last_deployment(endpoint.model)
        seen = Activity(
            waiting=self.watch.waiting(endpoint.model),
            ready=ready,
            idle=self.watch.idle(endpoint.uid, self._urls(endpoint)) if ready else 0.0,
            deploying=last is not None and last.state == "running",
        )
        return next_scale(scale_of(status.get("scale")), seen, sleeps_after=endpoint.sleep_after)

    def _urls(self, endpoint: EndpointObject) -> list[str]:
        """Of the replicas that run."""
        return [f"http://{one.podIP}:{SERVING_PORT}" for one in self._ready(endpoint)]

    def _ready(self, endpoint: EndpointObject) -> list[PodStatus]:
        """The replicas that are ready."""
        return [one.status for one in self._pods(endpoint) if one.status and _is_ready(one)]

    def _pods(self, endpoint: EndpointObject) -> list[Pod]:
        return self.cluster.list(Pod, labels={ENDPOINT_LABEL: endpoint.name[:63]})

    def _waits(self, endpoint: EndpointObject, replicas: Replicas | None) -> str:
        """What replicas that are not ready wait for; empty where all are, or none is there yet."""
        if replicas is None or readiness(replicas, Surroundings()).ready:
            return ""
        return readiness(replicas, Surroundings(pods=self._pods(endpoint))).why

    def _applied(
        self,
        endpoint: EndpointObject,
        scale: Scale,
        replicas: Replicas | None,
        status: Mapping[str, Any],
    ) -> _Applied:
        """Apply its objects where they are others than those that were applied last."""
        wanted = objects(endpoint, self.place, self.settings, scale)
        digest = digest_of(wanted, self.clock())
        if replicas is not None and digest == status.get("applied"):
            return _Applied(digest=digest, port=status.get("nodePort"))
        for one in wanted:
            self._refuse_other(one)
        applied = [self.cluster.apply(as_many(one, replicas, endpoint)) for one in wanted]
        for kind in OPTIONAL:
            if not any(isinstance(one, kind) for one in wanted):
                self._remove_own(kind, endpoint)
        return _Applied(digest=digest, port=_node_port(endpoint, applied))

    def _remove_own(self, kind: type[Replica], endpoint: EndpointObject) -> None:
        """Delete what it had, and what is not asked for any more."""
        try:
            found = self.cluster.get(kind, endpoint.name)
        except NotFound:
            return
        if is_owned(found, endpoint):
            self.cluster.delete(kind, endpoint.name)

    def _at_node(
        self, endpoint: EndpointObject, applied: _Applied, status: Mapping[str, Any]
    ) -> str:
        """A node's address and port, at which it answers; empty where it is at none, or asleep.

        That of a replica's node: to ask for nodes is no right of a namespace. One that sleeps is
        where it was.
        """
        if applied.port is None:
            return ""
        found = sorted(one.hostIP for one in self._ready(endpoint) if one.hostIP)
        before = urlsplit(str(status.get("url", "")))
        if not found:
            return before.netloc if before.port == applied.port else ""
        return f"{found[0]}:{applied.port}"

    def _refuse_other(self, wanted: Replica) -> None:
        """Refuse an object that is there and of somebody else, whom it would be taken from."""
        try:
            refuse_other(self.cluster.get(type(wanted), name_of(wanted)), wanted)
        except NotFound:
            return

    def _deploy(self, endpoint: EndpointObject, version: int) -> FairleadError | None:
        """Begin it; why that is not done, where it cannot be done."""
        request = DeployRequest(
            model=endpoint.model,
            version=version,
            steps=endpoint.canary,
            by=f"Endpoint {endpoint.namespace}/{endpoint.name}",
            joins=True,
        )
        try:
            deploy(self.stores, request, on_event=_logged)
        except Transient:
            raise
        except FairleadError as error:
            return error
        return None

    # ---- how it is ----------------------------------------------------------------------------

    def _view(
        self,
        endpoint: EndpointObject,
        replicas: Replicas | None,
        scale: Scale,
        noted: Mapping[str, Any],
        url: str,
    ) -> EndpointView:
        ledger, model = self.stores.ledger, endpoint.model
        wanted, route = self._wanted(endpoint), ledger.routes.current(model)
        counts = replicas.status if replicas else None
        return EndpointView(
            wanted=wanted,
            asked="" if wanted is None else endpoint.asked(wanted),
            begun=str(noted.get("begun") or ""),
            refused=str(noted.get("refused") or ""),
            deployment=self._last_deployment(model),
            live=self._live(route),
            traffic=traffic_in_words(route),
            replicas=(counts.replicas if counts else 0) or 0,
            ready=(counts.readyReplicas if counts else 0) or 0,
            least=endpoint.least,
            scale=scale,
            waits=self._waits(endpoint, replicas),
            url=url,
        )

    def _wanted(self, endpoint: EndpointObject) -> int | None:
        if endpoint.version is not None:
            return endpoint.version
        champion = self.stores.ledger.versions.champion(endpoint.model)
        return None if champion is None else champion.number

    def _last_deployment(self, model: str) -> Deployment | None:
        try:
            return self.stores.ledger.deployments.get(model)
        except NotFound:
            return None

    def _live(self, route: Route | None) -> int | None:
        if route is None:
            return None
        whole = [name for name, percent in route.traffic.items() if percent == _ALL]
        revisions = self.stores.ledger.routes.revisions(route.model) if whole else ()
        return next((one.version for one in revisions if one.name in whole), None)

    def _replicas(self, endpoint: EndpointObject) -> Replicas | None:
        try:
            return self.cluster.get(Replicas, endpoint.name)
        except NotFound:  # new, or deleted by hand
            return None


def _node_port(endpoint: EndpointObject, applied: Sequence[Replica]) -> int | None:
    """That which the cluster gave its Service; None where it has none."""
    named = [one for one in applied if isinstance(one, Service) and name_of(one) == endpoint.name]
    ports = [port for one in named if one.spec for port in one.spec.ports or ()]
    return next((port.nodePort for port in ports if endpoint.node_port), None)


def _is_ready(pod: Pod) -> bool:
    conditions = (pod.status.conditions if pod.status else None) or ()
    return any(one.type == "Ready" and one.status == "True" for one in conditions)


def _logged(event: Event) -> None:
    _LOG.info("%s", event)
