"""Where an undo goes back to.

Belongs here: the rule, over a model's list of routes. Does not: doing it (routes.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.records import Route


def goal(routes: Sequence[Route]) -> Route | None:
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
