"""How a model's traffic is shared: looking at it, and changing it.

A change is one route more, in force at once. What it would bring into service is verified before it
is written; then the servers are waited for and their endpoints tested (endpoints.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from fairlead.control.endpoints import settle, settle_or_revert
from fairlead.control.events import Notice, OnEvent, RouteChanged
from fairlead.errors import Conflict
from fairlead.records import Deployment, Revision, Route, Server, ServingEvent
from fairlead.registry.registry import require_reason
from fairlead.rollout import routes
from fairlead.rollout.record import author
from fairlead.rollout.routes import cancel_deployment, last_deployment, running_deployment
from fairlead.rollout.traffic_split import out_of_service_reason
from fairlead.rollout.undo import is_superseded_step
from fairlead.rollout.verification import CheckCache, verify_route
from fairlead.rollout.wait import following_current, servers_of
from fairlead.stores import Stores

_RECENT = 600.0
"""Seconds for which a server that fell silent may well be there still."""


@dataclass(frozen=True, kw_only=True)
class ModelTraffic:
    """What there is to know of a model's traffic."""

    model: str
    route: Route | None
    revisions: Sequence[Revision]
    deployment: Deployment | None  # that runs
    last: Deployment | None
    servers: Sequence[Server]
    silent: Sequence[Server]  # that may be gone, or cannot write to the ledger
    champion: int | None
    now: float  # by the ledger's clock

    @property
    def last_heard_of(self) -> Server | None:
        """The server that fell silent last, where it may well be there still."""
        recent = [server for server in self.silent if 0 <= self.now - server.seen < _RECENT]
        return max(recent, key=lambda server: server.seen, default=None)


@dataclass(frozen=True, kw_only=True)
class TrafficHistory:
    """Every route of a model, and what happened to its deployments and revisions."""

    model: str
    routes: Sequence[Route]
    events: Sequence[ServingEvent]


@dataclass(frozen=True, kw_only=True)
class Access:
    """What changing a route needs of the installation and of whoever asks.

    Args:
        checks: Folder of what is known of files from checks before.
        token: Bearer token for the servers.
    """

    checks: Path
    token: str | None = None


def traffic(stores: Stores, model: str) -> ModelTraffic:
    """The revisions of a model, their traffic and state, and the deployment that runs.

    Raises:
        NotFound: There is no such model.
    """
    ledger = stores.ledger
    ledger.versions.history(model)  # refuses a model that is not there
    champion = ledger.versions.champion(model)
    route = ledger.routes.current(model)
    return ModelTraffic(
        model=model,
        route=route,
        revisions=[_by_route(each, route) for each in ledger.routes.revisions(model)],
        deployment=running_deployment(ledger, model),
        last=last_deployment(ledger, model),
        servers=servers_of(ledger, model),
        silent=[server for server in ledger.servers.silent() if server.serves(model)],
        champion=champion.number if champion else None,
        now=ledger.now(),
    )


def history(stores: Stores, model: str) -> TrafficHistory:
    """Every route of a model, the oldest first, and how its deployments ended.

    Raises:
        NotFound: There is no such model.
    """
    stores.ledger.versions.history(model)  # refuses a model that is not there
    return TrafficHistory(
        model=model,
        routes=stores.ledger.routes.history(model),
        events=stores.ledger.routes.events(model),
    )


def set_traffic(  # noqa: PLR0913 - what, why, and who may
    stores: Stores,
    model: str,
    shares: Mapping[str, int],
    why: str | None,
    *,
    access: Access,
    on_event: OnEvent,
    known: int | None = None,
) -> Route:
    """Share the traffic over revisions that were deployed before, and see that it arrives.

    A deployment that runs ends. Where servers that followed the route before do not follow, or do
    not return the stored predictions, the route before is in force again.

    Here and below, `known` is the number of the route that whoever asks knows to be in force: where
    another one is, the change is refused. Any is if None.

    Raises:
        NotFound: Nothing of the model was deployed, or there is no such revision.
        Invalid: A revision was never verified, or the percents do not make 100.
        Conflict: Somebody else changed the route meanwhile.
        Failed: It did not arrive; the message says which route is in force.
        Unreachable: A server could not be tested; the route stays.
    """
    reason = why if why and why.strip() else f"set by {author()}"
    before, followed = stores.ledger.routes.current(model), following_current(stores.ledger, model)
    route = routes.set_traffic(
        stores, model, shares, reason, approve=_verified(stores, access), known=known
    )
    on_event(RouteChanged(route=route, before=before))
    settle_or_revert(stores, route, followed=followed, token=access.token, on_event=on_event)
    return route


def undo(  # noqa: PLR0913 - what, why, and who may
    stores: Stores,
    model: str,
    why: str,
    *,
    access: Access,
    on_event: OnEvent,
    known: int | None = None,
) -> Route | Deployment:
    """Share the traffic again as it was before the present route, and see that it arrives.

    A deployment that runs ends with all of its steps.

    Returns:
        The new route; the deployment that ended, where it had no traffic yet: the route stays.

    Raises:
        NotFound: Nothing of the model was deployed.
        Invalid: There is nothing to go back to, or no reason is given.
        Conflict: Somebody else changed the route meanwhile.
        Failed: It did not arrive; the message says which route is in force.
        Unreachable: A server could not be tested; the route stays.
    """
    require_reason(why)
    routes.refuse_other(stores.ledger.routes.current(model), known)
    ended = _cancelled(stores, model, why)
    if ended is not None:
        return ended
    before, followed = stores.ledger.routes.current(model), following_current(stores.ledger, model)
    route = routes.undo(stores, model, why, approve=_verified(stores, access), known=known)
    on_event(RouteChanged(route=route, before=before))
    settle_or_revert(stores, route, followed=followed, token=access.token, on_event=on_event)
    return route


def undeploy(
    stores: Stores, model: str, why: str, *, on_event: OnEvent, known: int | None = None
) -> Route:
    """Take the model out of service, and wait until every server follows.

    Returns:
        The route that takes it out of service, or has done so before.

    Raises:
        NotFound: Nothing of the model was deployed.
        Invalid: No reason is given.
        Conflict: The route keeps changing.
        Failed: A server does not follow in time.
    """
    require_reason(why)
    before = stores.ledger.routes.current(model)
    if before is None or before.traffic or running_deployment(stores.ledger, model):
        route = routes.undeploy(stores, model, why, known=known)
        on_event(RouteChanged(route=route, before=before))
    else:
        route = before
        reason = out_of_service_reason(before)
        on_event(Notice(text=f"{model} is {reason}; nothing was written"))
    settle(stores, route, token=None, on_event=on_event)
    return route


def _verified(stores: Stores, access: Access) -> routes.Approve:
    """Lets a route be written only if what it would bring into service is sound."""
    return partial(verify_route, stores, CheckCache(access.checks))


def _cancelled(stores: Stores, model: str, why: str) -> Deployment | None:
    """The deployment that ended before it had traffic, and that nothing else is to be undone for.

    None where none had no traffic yet, or the route in force is a step of one that it superseded.
    """
    deployment = running_deployment(stores.ledger, model)
    if deployment is None or deployment.step >= 0:
        return None
    if is_superseded_step(stores.ledger.routes.current(model), deployment.base):
        return None
    try:
        return cancel_deployment(stores.ledger, deployment, why)
    except Conflict:  # it has ended, or has traffic by now, which is there to be undone
        return None


def _by_route(revision: Revision, route: Route | None) -> Revision:
    """A revision that has traffic has it by the route in force, whatever first brought it in."""
    if route is None or revision.name not in route.traffic:
        return revision
    return replace(revision, reason=f"route {route.number}: {route.why}")
