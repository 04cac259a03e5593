"""Changes of what is live: a route, its details, and the deployment that it belongs to, together.

`put_in_force` is the one way in which a route changes: deploy_details.json is stored first, then
the ledger takes the route if the one that it follows is still in force. A person's undo, split by
hand and undeploy are here, too; the steps of a deployment are taken by server/executor.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from fairlead.errors import Conflict, Invalid, NextStep, NotFound
from fairlead.ledger.interface import Ledger
from fairlead.records import Deployment, Revision, Route, RouteKind
from fairlead.rollout.record import deploy_details
from fairlead.rollout.undo import revert_target, route_before, undo_target
from fairlead.stores import Stores

Approve: TypeAlias = Callable[[Route, Route], None]
"""Called with the route in force and the one that is to follow it, before that is written; raises
to keep it from being written."""

_ATTEMPTS = 100  # each one that fails is another process's success


def put_in_force(
    stores: Stores,
    route: Route,
    *,
    previous: Route | None,
    deployment: Deployment | None = None,
    superseding: bool = True,
) -> Route:
    """Store the route's deploy_details.json, then put the route in force.

    Args:
        stores: The ledger takes the route, the artefact store its details.
        route: Its number, its time and its details are given here.
        previous: The one that is in force at this moment; None for the first.
        deployment: Written in the same transaction.
        superseding: Whether another running deployment is superseded.

    Raises:
        Conflict: Another route is in force by now, or a deployment runs that is not to be
            superseded; nothing was written to the ledger.
    """
    content = deploy_details(stores, route, previous=previous, deployment=deployment)
    stored = replace(route, details=stores.artifacts.put(content).digest)
    number = previous.number if previous else None
    return stores.ledger.routes.change(
        stored, previous=number, deployment=deployment, superseding=superseding
    )


def _approve(present: Route, wanted: Route) -> None:
    """Without preflight checks: for routes whose revisions are served already."""


def undo(  # noqa: PLR0913 - what, why, and who may
    stores: Stores,
    model: str,
    why: str,
    *,
    approve: Approve = _approve,
    deployment: Deployment | None = None,
    known: int | None = None,
) -> Route:
    """Split the traffic as it was before the route in force; another undo goes further back.

    Steps of a canary, and routes that change nothing, are passed over (undo.py). Where the route in
    force is a step of a deployment that runs, that one ends as undone in the same transaction; a
    model's first deployment leaves it out of service, as it was.

    Args:
        stores: Of the routes and their details.
        model: Whose route.
        why: Goes into the history.
        approve: Called before the route is written.
        deployment: The one that rolls itself back, as it is to be written; the running one, if not
            given.
        known: Number of the route that whoever asks knows to be in force; any if None.

    Raises:
        NotFound: Nothing of the model was deployed.
        Invalid: There is nothing to go back to.
        Conflict: Somebody else changed the route meanwhile: what was to be undone is not in force.
    """
    first = current_route(stores.ledger, model)
    refuse_other(first, known)
    for _ in range(_ATTEMPTS):
        route = current_route(stores.ledger, model)
        if _undone_as(route) != _undone_as(first):
            raise _overtaken(first, route)
        ended = deployment or _ended_by_undo(stores.ledger, route, why)
        wanted = _undoing(stores.ledger, route, ended, why)
        approve(route, wanted)
        try:
            return put_in_force(stores, wanted, previous=route, deployment=ended)
        except Conflict:
            if deployment is not None:
                raise  # a server's own deployment: it reads the ledger again itself
    raise Conflict(f"undoing a route of {model!r}: it keeps changing; try again")


def set_traffic(  # noqa: PLR0913 - what, why, and who may
    stores: Stores,
    model: str,
    traffic: Mapping[str, int],
    why: str,
    *,
    approve: Approve = _approve,
    known: int | None = None,
) -> Route:
    """Split the model's traffic by hand; a deployment that runs is superseded.

    Args:
        stores: Of the revisions, and of the details.
        model: Whose traffic.
        traffic: Percent by revision; together 100.
        why: Goes into the history.
        approve: Called before the route is written.
        known: Number of the route that whoever asks knows to be in force; any if None.

    Raises:
        NotFound: Nothing of the model was deployed, or there is no such revision.
        Invalid: A revision was never verified, or the percents do not make 100.
        Conflict: Somebody else changed the route meanwhile.
    """
    previous = current_route(stores.ledger, model)
    refuse_other(previous, known)
    shares = {name: percent for name, percent in traffic.items() if percent}
    _refuse_unverified(stores.ledger, model, shares)
    route = Route(
        model=model,
        number=0,  # the ledger gives it
        traffic=shares,
        kind="set",
        why=why,
        details="",
        sticky=previous.sticky,
        before=previous.number,
    )
    approve(previous, route)
    return put_in_force(stores, route, previous=previous)


def undeploy(stores: Stores, model: str, why: str, *, known: int | None = None) -> Route:
    """Take the model out of service: no revision has traffic; a running deployment is superseded.

    Args:
        stores: Of the routes and their details.
        model: Whose traffic.
        why: Goes into the history, and to clients of the model.
        known: Number of the route that whoever asks knows to be in force; any if None.

    Raises:
        NotFound: Nothing of the model was deployed.
        Conflict: Another route is in force, or it keeps changing.
    """
    for _ in range(_ATTEMPTS):
        deploys = running_deployment(stores.ledger, model) is not None
        previous = (
            stores.ledger.routes.current(model) if deploys else current_route(stores.ledger, model)
        )
        refuse_other(previous, known)
        route = _without_traffic(model, "undeploy", why, previous)
        with suppress(Conflict):  # it is to have no traffic, whichever route was in force
            return put_in_force(stores, route, previous=previous)
    raise Conflict(f"taking {model!r} out of service: its route keeps changing; try again")


def revert(stores: Stores, route: Route, why: str) -> Route | None:
    """Put what was before this route in force again (`revert_target` says what that is).

    Args:
        stores: Of the routes and their details.
        route: In force.
        why: What was wrong with it; goes into the history.

    Returns:
        The route that is in force now; None where this one stays.

    Raises:
        Conflict: Somebody else changed it meanwhile, or began a deployment from it; theirs stays.
    """
    get = partial(stores.ledger.routes.get, route.model)
    before = get(route.number - 1) if route.number > 1 else None
    found = revert_target(route, _deployment_of(stores.ledger, before), get)
    if found is None:
        return None
    wanted = replace(found, kind="undo", why=why, details="", deployment=None)
    return put_in_force(stores, wanted, previous=route, superseding=False)


def current_route(ledger: Ledger, model: str) -> Route:
    """The route in force.

    Raises:
        NotFound: There is none.
    """
    route = ledger.routes.current(model)
    if route is None:
        ledger.versions.history(model)  # raises for an unknown model
        deploy = NextStep("deploy", {"model": model}, "deploys its champion")
        raise NotFound(
            f"no revision of model {model!r} has traffic yet", code="no_route", next_steps=(deploy,)
        )
    return route


def refuse_other(route: Route | None, known: int | None) -> None:
    """Refuse a change that was asked for with another route in mind than the one in force.

    Raises:
        Conflict: It was.
    """
    number = route.number if route else None
    if known not in {None, number}:
        step = NextStep("route", {"model": route.model}, "shows what changed") if route else None
        raise Conflict(
            f"previous: the route in force is {number or 'none'}, not {known}; look at it again",
            next_steps=(step,) if step else (),
        )


def last_deployment(ledger: Ledger, model: str) -> Deployment | None:
    """The model's newest deployment, running or not; None before the first."""
    try:
        return ledger.deployments.get(model)
    except NotFound:
        return None


def running_deployment(ledger: Ledger, model: str) -> Deployment | None:
    """The model's deployment that runs; None where none does."""
    newest = last_deployment(ledger, model)
    return newest if newest and newest.state == "running" else None


def cancel_deployment(ledger: Ledger, deployment: Deployment, why: str) -> Deployment:
    """End a deployment that has routed nothing yet; the route stays as it is.

    Raises:
        Conflict: It has ended, or has traffic by now.
    """
    return ledger.deployments.advance(_as_undone(deployment, why))


def _as_undone(deployment: Deployment, why: str) -> Deployment:
    return replace(deployment, state="undone", reason=why, server=None)


def _undone_as(route: Route) -> tuple[object, ...]:
    """What the route is undone as: a deployment with all of its steps, or the route alone."""
    if route.kind == "deploy" and route.deployment is not None:
        return ("deployment", route.deployment)
    return ("route", route.number)


def _overtaken(first: Route, route: Route) -> Conflict:
    show = NextStep("route", {"model": route.model}, "shows it before you undo that")
    return Conflict(
        f"undoing route {first.number} of {route.model!r}: route {route.number} is in force by now "
        f"({route.why})",
        next_steps=(show,),
    )


def _deployment_of(ledger: Ledger, route: Route | None) -> Deployment | None:
    """The deployment that the route is a step of; an undo of one names it, too, and is none."""
    if route is None or route.kind != "deploy" or route.deployment is None:
        return None
    return ledger.deployments.get(route.model, route.deployment)


def _ended_by_undo(ledger: Ledger, route: Route, why: str) -> Deployment | None:
    """The deployment that the route is a step of, as undone, if it still runs."""
    deployment = running_deployment(ledger, route.model)
    if deployment is None or deployment.number != route.deployment:
        return None
    return _as_undone(deployment, why)


def _undoing(ledger: Ledger, route: Route, ended: Deployment | None, why: str) -> Route:
    """The route that undoes this one; a deployment that ends goes back to where it began."""
    get = partial(ledger.routes.get, route.model)
    if ended is None:
        target = undo_target(route, get)
    elif route.before is None:
        target = _without_traffic(route.model, "undo", "", None)
    else:
        target = route_before(route, get)
    if target is None:
        raise _nothing_to_undo(route)
    return replace(target, kind="undo", why=why, details="", deployment=None)


def _nothing_to_undo(route: Route) -> Invalid:
    model = route.model
    return Invalid(
        f"undoing route {route.number} of {model!r}: every change of its traffic is undone",
        code="nothing_to_undo",
        next_steps=(
            NextStep("route", {"model": model, "history": True}, "shows which revisions had it"),
            NextStep("route", {"model": model, "traffic": None}, "sets it"),
            NextStep("deploy", {"model": model, "version": None}, "deploys another version"),
            NextStep("undeploy", {"model": model, "why": None}, "takes the model out of service"),
        ),
    )


def _without_traffic(model: str, kind: RouteKind, why: str, previous: Route | None) -> Route:
    return Route(
        model=model,
        number=0,  # the ledger gives it
        traffic={},
        kind=kind,
        why=why,
        details="",
        sticky=previous.sticky if previous else None,
        before=previous.number if previous else None,
    )


def _refuse_unverified(ledger: Ledger, model: str, traffic: Mapping[str, int]) -> None:
    known = {each.name: each for each in ledger.routes.revisions(model)}
    for name in traffic:
        if name not in known:
            names = ", ".join(repr(each) for each in known)
            raise NotFound(f"model {model!r} has no revision {name!r}; revisions: {names}")
        if known[name].is_unverified:
            raise _unverified(known[name])


def _unverified(revision: Revision) -> Invalid:
    reason = f" ({revision.reason})" if revision.reason else ""
    deploy = NextStep(
        "deploy", {"model": revision.model, "version": revision.version}, "verifies and deploys it"
    )
    return Invalid(
        f"routing {revision.model!r}: {revision.name} is {revision.state}{reason} and gets traffic "
        "only once it is verified",
        code="revision_not_verified",
        next_steps=(deploy,),
    )
