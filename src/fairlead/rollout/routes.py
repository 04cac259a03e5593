"""Changes of what is live: a route, its details, and the deployment that it belongs to, together.

Belongs here: undoing, sharing traffic by hand, taking a model out of service, and the one way in
which a route is changed. Does not: when a deployment takes its next step (server/executor.py), and
whether a route can be followed (preflight.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeAlias

from fairlead.artifacts import Artifacts
from fairlead.errors import Conflict, Invalid, NotFound
from fairlead.ledger.interface import Ledger
from fairlead.records import Deployment, Revision, Route, RouteKind
from fairlead.rollout.record import deploy_details
from fairlead.rollout.undo import revert_target, route_before, undo_target

Approve: TypeAlias = Callable[[Route, Route], None]
"""Takes the route in force and the one that is to follow it, before that is written; what it raises
keeps it from being written."""

_ATTEMPTS = 100  # each one that fails is another process's success


def put_in_force(  # noqa: PLR0913 - what, and what it follows upon
    ledger: Ledger,
    artifacts: Artifacts,
    route: Route,
    *,
    previous: Route | None,
    deployment: Deployment | None = None,
    superseding: bool = True,
) -> Route:
    """Store the route's deploy_details.json, then put the route in force.

    Args:
        ledger: Takes the route.
        artifacts: Take the details.
        route: Its number, its time and its details are given here.
        previous: The one that is in force at this moment; None for the first.
        deployment: Written in the same transaction.
        superseding: Whether another deployment that runs gives way.

    Raises:
        Conflict: Another route is in force by now, or a deployment runs that does not give way;
            nothing was written to the ledger.
    """
    content = deploy_details(ledger, artifacts, route, previous=previous, deployment=deployment)
    kept = replace(route, details=artifacts.put(content).digest)
    number = previous.number if previous else None
    return ledger.routes.change(
        kept, previous=number, deployment=deployment, superseding=superseding
    )


def _approve(present: Route, wanted: Route) -> None:
    """Whoever changes a route without asking knows what it names: servers hold it already."""


def undo(  # noqa: PLR0913 - what, why, and two things that only one of the callers has
    ledger: Ledger,
    artifacts: Artifacts,
    model: str,
    why: str,
    *,
    approve: Approve = _approve,
    deployment: Deployment | None = None,
) -> Route:
    """Share the traffic again as it was before the route in force; once more goes further back.

    Steps of a canary, and routes that change nothing, are passed over (undo.py). Where the route in
    force is a step of a deployment that runs, that one ends as undone in the same transaction; a
    model's first deployment leaves it out of service, as it was.

    Args:
        ledger: Knows the routes.
        artifacts: Take the details.
        model: Whose route.
        why: Goes into the history.
        approve: Asked before the route is written.
        deployment: The one that takes itself back, as it is to be written; what runs, if not given.

    Raises:
        NotFound: Nothing of the model was deployed.
        Invalid: There is nothing to go back to.
        Conflict: Somebody else changed the route meanwhile: what was to be undone is not in force.
    """
    first = current_route(ledger, model)
    for _ in range(_ATTEMPTS):
        route = current_route(ledger, model)
        if _occasion(route) != _occasion(first):
            raise Conflict(
                f"undoing route {first.number} of {model!r}: route {route.number} is in force by "
                f"now ({route.why}); look at it with `fairlead route {model}` before undoing that"
            )
        ended = deployment or _undone(ledger, route, why)
        again = _again(ledger, route, ended, why)
        approve(route, again)
        try:
            return put_in_force(ledger, artifacts, again, previous=route, deployment=ended)
        except Conflict:
            if deployment is not None:
                raise  # it is the supervisor's, which looks again itself
    raise Conflict(f"undoing a route of {model!r}: it keeps changing; try again")


def set_traffic(  # noqa: PLR0913 - what is shared, why, and who is asked before
    ledger: Ledger,
    artifacts: Artifacts,
    model: str,
    traffic: Mapping[str, int],
    why: str,
    *,
    approve: Approve = _approve,
) -> Route:
    """Share the model's traffic as a person says; a deployment that runs is superseded.

    Args:
        ledger: Knows the revisions.
        artifacts: Take the details.
        model: Whose traffic.
        traffic: Percent by revision; together 100.
        why: Goes into the history.
        approve: Asked before the route is written.

    Raises:
        NotFound: Nothing of the model was deployed, or there is no such revision.
        Invalid: A revision was never proved, or the percents do not make 100.
        Conflict: Somebody else changed the route meanwhile.
    """
    previous = current_route(ledger, model)
    shares = {name: percent for name, percent in traffic.items() if percent}
    _refuse_unproved(ledger, model, shares)
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
    return put_in_force(ledger, artifacts, route, previous=previous)


def undeploy(ledger: Ledger, artifacts: Artifacts, model: str, why: str) -> Route:
    """Take the model out of service: nobody has its traffic; a deployment that runs is superseded.

    Args:
        ledger: Knows the routes.
        artifacts: Take the details.
        model: Whose traffic.
        why: Goes into the history, and to whoever asks the model.

    Raises:
        NotFound: Nothing of the model was deployed.
        Conflict: The route keeps changing.
    """
    for _ in range(_ATTEMPTS):
        previous = (
            ledger.routes.current(model)
            if running_deployment(ledger, model)
            else current_route(ledger, model)
        )
        route = _without_traffic(model, "undeploy", why, previous)
        with suppress(Conflict):  # it is to have no traffic, whoever had it
            return put_in_force(ledger, artifacts, route, previous=previous)
    raise Conflict(f"taking {model!r} out of service: its route keeps changing; try again")


def revert(ledger: Ledger, artifacts: Artifacts, route: Route, why: str) -> Route | None:
    """Put what was before this route in force again (standing.py says what that is).

    Args:
        ledger: Knows the routes.
        artifacts: Take the details.
        route: In force.
        why: What was wrong with it; goes into the history.

    Returns:
        The route that is in force now; None where this one stays.

    Raises:
        Conflict: Somebody else changed it meanwhile, or began a deployment from it; theirs stays.
    """
    routes = ledger.routes.history(route.model)[: route.number]
    found = revert_target(routes, _deployment_of(ledger, routes[-2]) if routes[1:] else None)
    if found is None:
        return None
    again = replace(found, kind="undo", why=why, details="", deployment=None)
    return put_in_force(ledger, artifacts, again, previous=route, superseding=False)


def current_route(ledger: Ledger, model: str) -> Route:
    """The route in force.

    Raises:
        NotFound: There is none.
    """
    route = ledger.routes.current(model)
    if route is None:
        ledger.versions.history(model)  # refuses a model that is not there
        raise NotFound(
            f"nothing of model {model!r} has any traffic yet: `fairlead deploy {model}` brings its "
            "champion into service"
        )
    return route


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
    return ledger.deployments.advance(replace(deployment, state="undone", reason=why, server=None))


def _occasion(route: Route) -> tuple[object, ...]:
    """What the route is undone as: a deployment with all of its steps, or the route alone."""
    if route.kind == "deploy" and route.deployment is not None:
        return ("deployment", route.deployment)
    return ("route", route.number)


def _deployment_of(ledger: Ledger, route: Route) -> Deployment | None:
    """The deployment that the route is a step of; an undo of one names it, too, and is none."""
    if route.kind != "deploy" or route.deployment is None:
        return None
    return ledger.deployments.get(route.model, route.deployment)


def _undone(ledger: Ledger, route: Route, why: str) -> Deployment | None:
    """The deployment that the route is a step of, as undone, if it still runs."""
    deployment = running_deployment(ledger, route.model)
    if deployment is None or deployment.number != route.deployment:
        return None
    return replace(deployment, state="undone", reason=why, server=None)


def _again(ledger: Ledger, route: Route, ended: Deployment | None, why: str) -> Route:
    """The route that undoes this one."""
    target = _target(ledger.routes.history(route.model)[: route.number], ended)
    if target is None:
        raise Invalid(
            f"undoing route {route.number} of {route.model!r}: every change of its traffic is "
            f"undone; `fairlead route {route.model} --history` shows what had it, `--set` gives it "
            f"back, `fairlead deploy {route.model} --version V` brings another version, and "
            f"`fairlead undeploy {route.model} --why TEXT` takes the model out of service"
        )
    return replace(target, kind="undo", why=why, details="", deployment=None)


def _target(routes: Sequence[Route], ended: Deployment | None) -> Route | None:
    """A deployment that ends goes back to where it began, whatever that changes."""
    route = routes[-1]
    if ended is None:
        return undo_target(routes)
    if route.before is None:
        return _without_traffic(route.model, "undo", "", None)
    return route_before(routes, route)


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


def _refuse_unproved(ledger: Ledger, model: str, traffic: Mapping[str, int]) -> None:
    known = {each.name: each for each in ledger.routes.revisions(model)}
    for name in traffic:
        if name not in known:
            names = ", ".join(repr(each) for each in known)
            raise NotFound(f"model {model!r} has no revision {name!r}; revisions: {names}")
        if known[name].is_unproved:
            raise Invalid(_unproved(known[name]))


def _unproved(revision: Revision) -> str:
    reason = f" ({revision.reason})" if revision.reason else ""
    return (
        f"routing {revision.model!r}: {revision.name} is {revision.state}{reason} and gets traffic "
        f"only once it was proved: `fairlead deploy {revision.model} --version {revision.version}`"
    )
