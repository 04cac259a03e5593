"""Revisions of models and the routes over them, in the database.

Belongs here: what the Protocol `Routes` asks, each as one transaction. Does not: which revision
should have how much traffic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from fairlead.errors import Conflict, Invalid, NotFound
from fairlead.ledger import deployments, revisions, routed, serving_events
from fairlead.ledger.database import Database
from fairlead.records import Deployment, Revision, RevisionState, Route, ServingEvent

_WHOLE = 100  # percent


class SqlRoutes:
    """Revisions of models, and how traffic is split over them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def revise(self, revision: Revision) -> Revision:
        """The revision of this version with this allowance, created where there is none."""
        with self._database.write() as connection:
            return revisions.revise(connection, revision)

    def revisions(self, model: str | None = None, *, retired: bool = True) -> Sequence[Revision]:
        """The revisions (of this model), by model, version and creation."""
        with self._database.read() as connection:
            return revisions.listed(connection, model, retired=retired)

    def mark(
        self, model: str, name: str, state: RevisionState, reason: str, *, was: RevisionState
    ) -> bool:
        """Change a revision's state; False, and nothing written, where it is not `was` by now."""
        with self._database.write() as connection:
            row = revisions.row_of(connection, model, name)
            if not revisions.may_enter(connection, row, state, was=was):
                return False
            revisions.enter(connection, row, state, reason)
            return True

    def current(self, model: str) -> Route | None:
        """The route in force; None before the first."""
        with self._database.read() as connection:
            return routed.current(connection, model)

    def in_force(self) -> Sequence[Route]:
        """The route in force of every model that has one, by model."""
        with self._database.read() as connection:
            return routed.in_force(connection)

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
        with self._database.write() as connection:
            _check_names(connection, route, previous)
            if not superseding:
                deployments.refuse_running(connection, route.model)
            return _change(connection, route, previous, deployment)

    def history(self, model: str) -> Sequence[Route]:
        """The routes, the oldest first."""
        with self._database.read() as connection:
            return routed.history(connection, model)

    def note(self, event: ServingEvent) -> None:
        """Append a line that no change of the ledger brings with it."""
        with self._database.write() as connection:
            serving_events.append(connection, event)

    def events(self, model: str) -> Sequence[ServingEvent]:
        """What happened to the model's revisions, routes and deployments, the oldest first."""
        with self._database.read() as connection:
            return serving_events.history(connection, model)


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
    number = routed.current_number(connection, route.model)
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
    appended = routed.append(connection, route, previous=previous)
    _tell(connection, appended)
    told = f"route {appended.number}: {route.why}"
    revisions.serve(connection, route.model, route.traffic, told)
    if deployment is not None:
        deployments.advance(connection, deployment)
    else:
        deployments.supersede(connection, route.model, told)
    return appended


def _tell(connection: sa.Connection, route: Route) -> None:
    event = ServingEvent(
        model=route.model,
        kind="routed",
        text=route.why,
        route=route.number,
        deployment=route.deployment,
    )
    serving_events.append(connection, event)


def _called(number: int | None) -> str:
    return "none" if number is None else f"route {number}"
