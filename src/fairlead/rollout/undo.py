"""Which earlier route comes back: on an undo, and where a new route did not arrive as it should.

Routes are a list that only grows, numbered from 1. Each knows in `before` the route that undoing it
brings back, so that a walk back reads one route at a time, however long the list is. All pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

from fairlead.records import Deployment, Route, Server

GetRoute: TypeAlias = Callable[[int], Route]
"""The model's route of this number."""


def undo_target(route: Route, get: GetRoute) -> Route | None:
    """The route whose traffic an undo brings back; None where there is none.

    It is the nearest one before the route in force that splits the traffic otherwise and is no
    intermediate step of a canary. A route that an undo made has in `before` what the route that it
    brought back had there, so that another undo goes further back.

    Args:
        route: In force.
        get: Reads an earlier one.
    """
    found = route_before(route, get)
    while found is not None and (found.traffic == route.traffic or _is_intermediate(found)):
        found = route_before(found, get)
    return found


def route_before(route: Route, get: GetRoute) -> Route | None:
    """The route that undoing this one brings back; None where there is none."""
    return None if route.before is None else get(route.before)


def revert_target(route: Route, deployment: Deployment | None, get: GetRoute) -> Route | None:
    """The route whose traffic to bring back where this one turned out to be wrong.

    It is the one just before. A step of a deployment that did not complete never comes back: nobody
    would judge the candidate any more, which would keep its share. Then it is the route that the
    deployment began from.

    Args:
        route: That is wrong.
        deployment: The one that the route just before is a step of, as it is by now; None where it
            is none.
        get: Reads an earlier route.

    Returns:
        None where the route stays: it takes the model out of service, nothing is before it, or that
        splits the traffic alike.
    """
    if route.number == 1 or not route.traffic:
        return None
    found: Route | None = get(route.number - 1)
    if found is not None and deployment is not None and deployment.state != "done":
        found = route_before(found, get)
    return None if found is None or found.traffic == route.traffic else found


def servers_lost(late: Sequence[Server], followed: Collection[str]) -> Sequence[Server]:
    """The servers that followed the former route and do not follow the one in force.

    They alone are a reason to revert: one that followed neither would be no better off.

    Args:
        late: Those that do not follow the route in force.
        followed: Ids of those that followed the one before.
    """
    return [server for server in late if server.id in followed]


def is_superseded_step(route: Route | None, base: int | None) -> bool:
    """Whether the route in force is a step of a deployment that a newer one has superseded.

    Args:
        route: In force.
        base: Number of the route that the newer one, which has no traffic yet, goes back to.
    """
    return route is not None and base not in {None, route.number}


def _is_intermediate(route: Route) -> bool:
    """Whether it is a step of a canary; only the last step gives one revision everything."""
    return route.kind == "deploy" and len(route.traffic) > 1
