"""The histories: rows that are only ever added.

A study has one (its attempts and its own changes), and so has what a model serves (revisions,
routes, deployments). A line is written in the transaction of the change that it records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache

import sqlalchemy as sa

from fairlead.ledger.database import Database, NextWriter, OldestWriter, Row, now
from fairlead.ledger.schema import events, serving_events, studies
from fairlead.records import Event, HistoryMark, NumberedEvent, ServingEvent, Span

_APPEND = events.insert().returning(events.c.id)
_COLUMNS = ("at", "kind", "study", "task", "attempt", "worker", "text")
_INSERT = f"INSERT INTO events ({', '.join(_COLUMNS)})"
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
_NUMBERED = (
    sa.select(
        events.c.id,
        events.c.at,
        events.c.kind,
        studies.c.id.label("study"),
        events.c.task,
        events.c.attempt,
        events.c.worker,
        events.c.text,
    )
    .join(studies, studies.c.number == events.c.study)
    .where(events.c.id > sa.bindparam("after"), events.c.id <= sa.bindparam("upto"))
    .order_by(events.c.id)
    .limit(sa.bindparam("limit"))
)
_IS_OF_KINDS = events.c.kind.in_(sa.bindparam("kinds", expanding=True))
_NUMBERED_OF_STUDY = _NUMBERED.where(
    events.c.study
    == sa.select(studies.c.number).where(studies.c.id == sa.bindparam("of")).scalar_subquery()
)
_LAST = sa.select(sa.func.coalesce(sa.func.max(events.c.id), 0))
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
    return int(connection.execute(_APPEND, _row(study, event)).scalar_one())


def append_all(connection: sa.Connection, lines: Sequence[tuple[int, Event]]) -> list[int]:
    """Add lines, each to the history of the study with the number beside it.

    Returns:
        Their ids, which rise from each to the next.
    """
    rows = [_row(*line) for line in lines]
    values = {f"{key}_{n}": value for n, row in enumerate(rows) for key, value in row.items()}
    return sorted(connection.execute(_append_several(len(rows)), values).scalars())


@lru_cache(64)
def _append_several(count: int) -> sa.TextClause:
    """Text, because SQLAlchemy compiles an insert of several rows each time."""
    rows = [", ".join(f":{column}_{n}" for column in _COLUMNS) for n in range(count)]
    values = ", ".join(f"({row})" for row in rows)
    return sa.text(f"{_INSERT} VALUES {values} RETURNING id")


def _row(study: int, event: Event) -> dict[str, object]:
    return {
        "at": event.at,
        "kind": event.kind,
        "study": study,
        "task": event.task,
        "attempt": event.attempt,
        "worker": event.worker,
        "text": event.text,
    }


def history(connection: sa.Connection, study: str) -> Sequence[Event]:
    """The lines of the study with this id, the oldest first."""
    return [
        Event(study=study, **row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
        for row in connection.execute(_OF_STUDY, {"id": study})
    ]


class SqlHistories:
    """The histories of all studies, as one: read by who follows them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self) -> int:
        """Id of the newest line; 0 before the first."""
        return self._database.read(_last)

    def mark(self) -> HistoryMark:
        """The newest line, and who may still be writing an older one."""
        return self._database.read(
            lambda connection: HistoryMark(
                last=_last(connection),  # the snapshot is older than the writer's number
                writer=connection.execute(sa.select(NextWriter())).scalar_one(),
            )
        )

    def is_settled(self, mark: HistoryMark) -> bool:
        """Whether no line up to the mark is yet to come."""
        query = sa.select(OldestWriter())
        oldest = self._database.read(lambda connection: connection.execute(query).scalar_one())
        return oldest > mark.writer

    def lines(
        self,
        *,
        after: int,
        upto: int,
        limit: int,
        study: str | None = None,
        kinds: Sequence[str] = (),
    ) -> Sequence[NumberedEvent]:
        """The lines with these ids, the oldest first."""
        asked: dict[str, object] = {"after": after, "upto": upto, "limit": limit}
        query = _NUMBERED
        if study is not None:
            query, asked = _NUMBERED_OF_STUDY, asked | {"of": study}
        if kinds:
            query, asked = query.where(_IS_OF_KINDS), asked | {"kinds": list(kinds)}
        return self._database.read(
            lambda connection: [_numbered(row) for row in connection.execute(query, asked)]
        )


def _last(connection: sa.Connection) -> int:
    return int(connection.execute(_LAST).scalar_one())


def _numbered(row: Row) -> NumberedEvent:
    fields = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    return NumberedEvent(id=fields.pop("id"), event=Event(**fields))


def spans(connection: sa.Connection, study: str) -> Mapping[int, Span]:
    """When the last attempt at each task of the study with this id was."""
    found: dict[int, Span] = {}
    for at, kind, task in connection.execute(_OF_TASKS, {"id": study}):
        if kind == "claimed":
            found[task] = Span(began=at)
        elif task in found and kind != "noted":
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
