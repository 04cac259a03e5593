"""Where an undo goes back to.

Belongs here: the rule, over a model's list of routes. Does not: doing it (routes.py).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fairlead.records import Deployment, Route, Server


def undo_target(routes: Sequence[Route]) -> Route | None:
    """The route whose traffic an undo brings back.

    It is the nearest one before the route in force that shares the traffic otherwise and is no
    step on the way of a canary. What was undone already is behind us: each route knows which one
    was before it, and one that an undo made has the one before the route that it brought back.

    Args:
        routes: All of a model, the oldest first; their numbers are 1, 2, 3 ...

    Returns:
        None where there is no such route.
    """
    if not routes:
        return None
    present = routes[-1]
    found = route_before(routes, present)
    while found is not None and (found.traffic == present.traffic or _is_on_the_way(found)):
        found = route_before(routes, found)
    return found


def route_before(routes: Sequence[Route], route: Route) -> Route | None:
    """The route that this one's undoing brings back; None where there is none.

    Args:
        routes: As for `goal`.
        route: One of them.
    """
    return None if route.before is None else routes[route.before - 1]


def _is_on_the_way(route: Route) -> bool:
    """Whether it is a step of a canary: the last step alone gives one revision everything."""
    return route.kind == "deploy" and len(route.traffic) > 1


def servers_lost(late: Sequence[Server], followed: Collection[str]) -> Sequence[Server]:
    """The servers that followed the route before, and do not follow the one that came after it.

    They alone are a reason to go back: one that followed neither would be no better off.

    Args:
        late: Those that do not follow the route in force.
        followed: Ids of those that followed the one before.
    """
    return [server for server in late if server.id in followed]


def revert_target(routes: Sequence[Route], deployment: Deployment | None) -> Route | None:
    """The route whose traffic to bring back where the last one turned out to be wrong.

    It is the one before. A step of a deployment that did not get through never comes back: nobody
    would judge the candidate any more, which would keep its share. Then it is the route that the
    deployment began from.

    Args:
        routes: All of a model up to the one that is wrong; their numbers are 1, 2, 3 ...
        deployment: The one that the route before is a step of, as it is by now; None where it is
            none.

    Returns:
        None where the last route stays: it takes the model out of service, there is nothing before
        it, or that shares the traffic alike.
    """
    if len(routes) < 2 or not routes[-1].traffic:  # noqa: PLR2004 - the last one and one before it
        return None
    found: Route | None = routes[-2]
    if deployment is not None and deployment.state != "done":
        found = route_before(routes, routes[-2])
    return None if found is None or found.traffic == routes[-1].traffic else found


def is_superseded_step(route: Route | None, base: int | None) -> bool:
    """Whether the route in force is a step of a deployment that a younger one has superseded.

    Args:
        route: In force.
        base: Number of the route that the younger one goes back to, which has no traffic yet.
    """
    return route is not None and base not in {None, route.number}
