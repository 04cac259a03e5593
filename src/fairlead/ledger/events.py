"""The histories: rows that are only ever added.

A study has one (its attempts and its own changes), and so has what a model serves (revisions,
routes, deployments). A line is written in the transaction of the change that it records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import sqlalchemy as sa

from fairlead.ledger.database import now
from fairlead.ledger.schema import events, serving_events, studies
from fairlead.records import Event, ServingEvent, Span

_APPEND = events.insert().returning(events.c.id)
_OF_STUDY = (
    sa.select(
        events.c.at,
        events.c.kind,
        events.c.task,
        events.c.attempt,
        events.c.worker,
        events.c.text,
    )
    .join(studies, studies.c.number == events.c.study)
    .where(studies.c.id == sa.bindparam("id"))
    .order_by(events.c.id)
)
_OF_TASKS = (
    sa.select(events.c.at, events.c.kind, events.c.task)
    .join(studies, studies.c.number == events.c.study)
    .where(studies.c.id == sa.bindparam("id"), events.c.task.is_not(None))
    .order_by(events.c.id)
)
_APPEND_SERVING = serving_events.insert()
_OF_MODEL = (
    sa.select(
        serving_events.c.model,
        serving_events.c.at,
        serving_events.c.kind,
        serving_events.c.text,
        serving_events.c.revision,
        serving_events.c.route,
        serving_events.c.deployment,
    )
    .where(serving_events.c.model == sa.bindparam("model"))
    .order_by(serving_events.c.id)
)
_AUTHOR = (
    sa.select(serving_events.c.text)
    .where(
        serving_events.c.model == sa.bindparam("model"),
        serving_events.c.deployment == sa.bindparam("deployment"),
        serving_events.c.kind == "began",
    )
    .order_by(serving_events.c.id)
    .limit(1)
)


def append(connection: sa.Connection, study: int, event: Event) -> int:
    """Add one line to the history of the study with this number.

    Returns:
        Its id, higher than that of every line before it.
    """
    row = {
        "at": event.at,
        "kind": event.kind,
        "study": study,
        "task": event.task,
        "attempt": event.attempt,
        "worker": event.worker,
        "text": event.text,
    }
    return int(connection.execute(_APPEND, row).scalar_one())


def history(connection: sa.Connection, study: str) -> Sequence[Event]:
    """The lines of the study with this id, the oldest first."""
    return [
        Event(study=study, **row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
        for row in connection.execute(_OF_STUDY, {"id": study})
    ]


def spans(connection: sa.Connection, study: str) -> Mapping[int, Span]:
    """When the last attempt at each task of the study with this id was."""
    found: dict[int, Span] = {}
    for at, kind, task in connection.execute(_OF_TASKS, {"id": study}):
        if kind == "claimed":
            found[task] = Span(began=at)
        elif task in found:
            found[task] = replace(found[task], ended=at)
    return found


def append_serving(connection: sa.Connection, event: ServingEvent) -> None:
    """Add one line, at this moment."""
    connection.execute(_APPEND_SERVING, asdict(replace(event, at=now(connection))))


def serving_history(connection: sa.Connection, model: str) -> Sequence[ServingEvent]:
    """The lines of the model, the oldest first."""
    return [
        ServingEvent(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
        for row in connection.execute(_OF_MODEL, {"model": model})
    ]


def author(connection: sa.Connection, model: str, deployment: int) -> str | None:
    """Who asked for the deployment: the text of the line that it began with."""
    named = {"model": model, "deployment": deployment}
    return connection.execute(_AUTHOR, named).scalar_one_or_none()
