"""Routes: how the traffic of a model is split over its revisions.

Routes are appended and numbered within their model; the last is in force. A new one comes about
only while the one that was seen is in force, and changes its revisions and the deployment that it
belongs to in the same transaction, under the lock of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from fairlead.errors import Conflict, Invalid, NotFound
from fairlead.ledger import deployments, events, revisions
from fairlead.ledger.database import Database, Row, model_lock, now
from fairlead.ledger.schema import routes, routes_in_force
from fairlead.records import Deployment, Revision, RevisionState, Route, ServingEvent

_WHOLE = 100  # percent
_IN_FORCE = (
    sa.select(routes)
    .join(
        routes_in_force,
        (routes_in_force.c.model == routes.c.model) & (routes_in_force.c.number == routes.c.number),
    )
    .order_by(routes_in_force.c.model)
)
_CURRENT = _IN_FORCE.where(routes_in_force.c.model == sa.bindparam("model"))
_OF_MODEL = (
    sa.select(routes).where(routes.c.model == sa.bindparam("model")).order_by(routes.c.number)
)
_ONE = sa.select(routes).where(
    routes.c.model == sa.bindparam("model"), routes.c.number == sa.bindparam("number")
)
_INSERT = routes.insert()
_FIRST = routes_in_force.insert()
_NEXT = (
    routes_in_force.update()
    .where(routes_in_force.c.model == sa.bindparam("of"))
    .values(number=sa.bindparam("to"))
)


class SqlRoutes:
    """Revisions of models, and how traffic is split over them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def revise(self, revision: Revision) -> Revision:
        """The revision of this version with this allowance, created where there is none."""
        return self._database.write(
            lambda connection: revisions.revise(connection, revision),
            lock=model_lock(revision.model),
        )

    def revisions(self, model: str | None = None, *, retired: bool = True) -> Sequence[Revision]:
        """The revisions (of this model), by model, version and creation."""
        return self._database.read(
            lambda connection: revisions.listed(connection, model, retired=retired)
        )

    def mark(
        self, model: str, name: str, state: RevisionState, reason: str, *, was: RevisionState
    ) -> bool:
        """Change a revision's state; False, and nothing written, where it is not `was` by now."""

        def mark(connection: sa.Connection) -> bool:
            row = revisions.row_of(connection, model, name)
            if not revisions.may_enter(connection, row, state, was=was):
                return False
            revisions.enter(connection, row, state, reason)
            return True

        return self._database.write(mark, lock=model_lock(model))

    def current(self, model: str) -> Route | None:
        """The route in force; None before the first."""
        return self._database.read(lambda connection: _current(connection, model))

    def in_force(self) -> Sequence[Route]:
        """The route in force of every model that has one, by model."""
        return self._database.read(
            lambda connection: [_route(row) for row in connection.execute(_IN_FORCE)]
        )

    def get(self, model: str, number: int) -> Route:
        """One route."""
        return self._database.read(lambda connection: _get(connection, model, number))

    def change(
        self,
        route: Route,
        *,
        previous: int | None,
        deployment: Deployment | None = None,
        superseding: bool = True,
    ) -> Route:
        """Append a route, which is in force from then on, in one transaction."""
        _check(route, deployment)
        if deployment is not None:
            route = replace(route, deployment=deployment.number)

        def change(connection: sa.Connection) -> Route:
            _check_names(connection, route, previous)
            if not superseding:
                deployments.refuse_running(connection, route.model)
            return _change(connection, route, previous, deployment)

        return self._database.write(change, lock=model_lock(route.model))

    def history(self, model: str) -> Sequence[Route]:
        """The routes, the oldest first."""
        return self._database.read(
            lambda connection: [
                _route(row) for row in connection.execute(_OF_MODEL, {"model": model})
            ]
        )

    def note(self, event: ServingEvent) -> None:
        """Append a line that no change of the ledger brings with it."""
        self._database.write(lambda connection: events.append_serving(connection, event))

    def events(self, model: str) -> Sequence[ServingEvent]:
        """What happened to the model's revisions, routes and deployments, the oldest first."""
        return self._database.read(lambda connection: events.serving_history(connection, model))


def append(connection: sa.Connection, route: Route, *, previous: int | None) -> Route:
    """Put the route at the end of its model's list and in force.

    Args:
        connection: Of a write transaction that holds the lock of the model.
        route: Its number and its time are given here.
        previous: Number of the route in force, as it was seen under the lock of the model.
    """
    appended = replace(route, number=(previous or 0) + 1, at=now(connection))
    connection.execute(_INSERT, _row(appended))
    if previous is None:
        connection.execute(_FIRST, {"model": appended.model, "number": appended.number})
    else:
        connection.execute(_NEXT, {"of": appended.model, "to": appended.number})
    return appended


def _current(connection: sa.Connection, model: str) -> Route | None:
    row = connection.execute(_CURRENT, {"model": model}).one_or_none()
    return None if row is None else _route(row)


def _get(connection: sa.Connection, model: str, number: int) -> Route:
    row = connection.execute(_ONE, {"model": model, "number": number}).one_or_none()
    if row is None:
        raise NotFound(f"model {model!r} has no route {number}")
    return _route(row)


def _check(route: Route, deployment: Deployment | None) -> None:
    if not _is_shared(route):
        wanted = "nobody's" if route.kind == "undeploy" else "percents above 0 that make 100"
        raise Invalid(
            f"routing {route.model!r}: the traffic must be {wanted}, not {dict(route.traffic)!r}"
        )
    if deployment is not None and (
        deployment.model != route.model or route.deployment not in {None, deployment.number}
    ):
        raise Invalid(
            f"routing {route.model!r} for deployment {route.deployment}: it comes with deployment "
            f"{deployment.number} of {deployment.model!r}"
        )


def _is_shared(route: Route) -> bool:
    """Whether the traffic is as its kind wants it; an undo brings back whatever there was."""
    shares = route.traffic.values()
    if not shares:
        return route.kind in {"undeploy", "undo"}
    return route.kind != "undeploy" and sum(shares) == _WHOLE and min(shares) > 0


def _check_names(connection: sa.Connection, route: Route, previous: int | None) -> None:
    """The route in force is the one that was seen, and what the new one names is there."""
    number = deployments.number_in_force(connection, route.model)
    if number != previous:
        raise Conflict(
            f"routing {route.model!r}: {_called(number)} is in force by now, not "
            f"{_called(previous)}; look again"
        )
    if route.before is not None and not 1 <= route.before <= (number or 0):
        raise NotFound(f"model {route.model!r} has no route {route.before} to go back to")
    if route.deployment is not None:
        deployments.row_of(connection, route.model, route.deployment)


def _change(
    connection: sa.Connection, route: Route, previous: int | None, deployment: Deployment | None
) -> Route:
    appended = append(connection, route, previous=previous)
    _append_event(connection, appended)
    reason = f"route {appended.number}: {route.why}"
    revisions.serve(connection, route.model, route.traffic, reason)
    if deployment is not None:
        deployments.advance(connection, deployment)
    else:
        deployments.supersede(connection, route.model, reason)
    return appended


def _append_event(connection: sa.Connection, route: Route) -> None:
    event = ServingEvent(
        model=route.model,
        kind="routed",
        text=route.why,
        route=route.number,
        deployment=route.deployment,
    )
    events.append_serving(connection, event)


def _called(number: int | None) -> str:
    return "none" if number is None else f"route {number}"


def _row(route: Route) -> dict[str, object]:
    return {
        "model": route.model,
        "number": route.number,
        "traffic": route.traffic,
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
        traffic=row.traffic,
        kind=row.kind,
        why=row.why,
        details=row.details,
        sticky=row.sticky,
        deployment=row.deployment,
        before=row.before,
        at=row.at,
    )
