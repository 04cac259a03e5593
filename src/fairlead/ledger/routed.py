"""The list of routes and the one in force, as rows.

Belongs here: reading them and appending one. Does not: whether it may be appended, and what
follows from it for revisions and deployments (routes.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from fairlead.ledger.codecs import whole_numbers_from_json, whole_numbers_to_json
from fairlead.ledger.database import Row, now
from fairlead.ledger.schema import routes, routes_in_force
from fairlead.records import Route

_IN_FORCE = (
    sa.select(routes)
    .join(
        routes_in_force,
        (routes_in_force.c.model == routes.c.model) & (routes_in_force.c.number == routes.c.number),
    )
    .order_by(routes_in_force.c.model)
)
_CURRENT = _IN_FORCE.where(routes_in_force.c.model == sa.bindparam("model"))
_NUMBER = (
    sa.select(routes_in_force.c.number)
    .where(routes_in_force.c.model == sa.bindparam("model"))
    .with_for_update()
)
_OF_MODEL = (
    sa.select(routes).where(routes.c.model == sa.bindparam("model")).order_by(routes.c.number)
)
_INSERT = routes.insert()
_FIRST = routes_in_force.insert()
_NEXT = (
    routes_in_force.update()
    .where(routes_in_force.c.model == sa.bindparam("of"))
    .values(number=sa.bindparam("to"))
)


def in_force(connection: sa.Connection) -> Sequence[Route]:
    """The route in force of every model that has one, by model."""
    return [_route(row) for row in connection.execute(_IN_FORCE)]


def current(connection: sa.Connection, model: str) -> Route | None:
    """The model's route in force."""
    row = connection.execute(_CURRENT, {"model": model}).one_or_none()
    return None if row is None else _route(row)


def current_number(connection: sa.Connection, model: str) -> int | None:
    """Its number, which nobody else changes until this write is done."""
    number: int | None = connection.execute(_NUMBER, {"model": model}).scalar()
    return number


def history(connection: sa.Connection, model: str) -> Sequence[Route]:
    """The model's routes, the oldest first."""
    return [_route(row) for row in connection.execute(_OF_MODEL, {"model": model})]


def append(connection: sa.Connection, route: Route, *, previous: int | None) -> Route:
    """Put the route at the end of its model's list and in force.

    Args:
        connection: Of a write transaction.
        route: Its number and its time are given here.
        previous: Number of the route in force, as `current_number` told it.
    """
    appended = replace(route, number=(previous or 0) + 1, at=now(connection))
    connection.execute(_INSERT, _row(appended))
    if previous is None:
        connection.execute(_FIRST, {"model": appended.model, "number": appended.number})
    else:
        connection.execute(_NEXT, {"of": appended.model, "to": appended.number})
    return appended


def _row(route: Route) -> dict[str, object]:
    return {
        "model": route.model,
        "number": route.number,
        "traffic": whole_numbers_to_json(route.traffic),
        "kind": route.kind,
        "why": route.why,
        "details": route.details,
        "sticky": route.sticky,
        "deployment": route.deployment,
        "before": route.before,
        "at": route.at,
    }


def _route(row: Row) -> Route:
    return Route(
        model=row.model,
        number=row.number,
        traffic=whole_numbers_from_json(row.traffic),
        kind=row.kind,
        why=row.why,
        details=row.details,
        sticky=row.sticky,
        deployment=row.deployment,
        before=row.before,
        at=row.at,
    )
