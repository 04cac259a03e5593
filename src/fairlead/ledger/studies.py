"""Studies and their trials, in the database.

Belongs here: what the Protocol `Studies` asks. Does not: tasks and attempts.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from fairlead.errors import NotFound
from fairlead.ledger import counters, events, results, withdrawal
from fairlead.ledger.codecs import sources_from_json, sources_to_json, trials_from_json
from fairlead.ledger.database import Database, Row, now
from fairlead.ledger.schema import studies, tasks
from fairlead.records import Counts, Event, Limits, Result, Study, Trial, TrialRow, TrialState
from fairlead.suggestions import did_you_mean

_BY_ID = sa.select(studies).where(studies.c.id == sa.bindparam("id")).with_for_update()
_BY_NAME = (
    sa.select(studies)
    .where(studies.c.name == sa.bindparam("name"))
    .order_by(studies.c.number.desc())
    .limit(1)
)
_BY_BEGINNING = (
    sa.select(studies)
    .where(sa.func.substr(studies.c.id, 1, sa.bindparam("length")) == sa.bindparam("beginning"))
    .limit(2)
)
_ALL = sa.select(studies).order_by(studies.c.number.desc())
_NAMES = sa.select(studies.c.name).distinct()
_TASKS = (
    sa.select(tasks.c.trials, tasks.c.state)
    .join(studies, studies.c.number == tasks.c.study)
    .where(studies.c.id == sa.bindparam("id"), tasks.c.kind == "trials")
)
_CHANGE = studies.update().where(studies.c.number == sa.bindparam("study"))
_EXTEND = _CHANGE.values(
    asked=sa.bindparam("to"),
    size=sa.bindparam("to"),
    state="searching",
    best=None,
    finished=None,
)
_FINISH = _CHANGE.values(
    size=sa.bindparam("to"),
    best=sa.bindparam("winner"),
    state="finished",
    finished=sa.bindparam("at"),
)


class SqlStudies:
    """Studies and their trials."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, study: Study) -> Study:
        """Create the study, extend it, or return it as it is."""
        with self._database.read() as connection:
            row = connection.execute(_BY_ID, {"id": study.id}).one_or_none()
            if row is not None and not _to_do(connection, row, study):
                return _study(row)
        with self._database.write() as connection:
            return _study(_open(connection, study))

    def get(self, study: str) -> Study:
        """The study with this id, of this name, or with this beginning of an id."""
        with self._database.read() as connection:
            return _study(_find(connection, study))

    def all(self) -> Sequence[Study]:
        """Every study, the newest first."""
        with self._database.read() as connection:
            return [_study(row) for row in connection.execute(_ALL)]

    def counts(self, study: str) -> Counts:
        """How far the study is."""
        with self._database.read() as connection:
            found = counters.counts(connection, study)
        if found is None:
            raise NotFound(f"no study has the id {study!r}")
        return found

    def trials(self, study: str) -> Sequence[TrialRow]:
        """Its trials below `Study.size` by number, with what is known of them."""
        with self._database.read() as connection:
            size = row_of(connection, study).size
            known, _ = results.since(connection, study, 0)
            rows = connection.execute(_TASKS, {"id": study}).all()
        by_number = {result.number: result for result in known}
        found = [
            _trial_row(trial, row.state, by_number.get(trial.number))
            for row in rows
            for trial in trials_from_json(row.trials)
            if trial.number < size
        ]
        return sorted(found, key=lambda row: row.trial.number)

    def results(self, study: str, *, after: int = 0) -> tuple[Sequence[Result], int]:
        """Results that were committed after the given mark, and the mark to give next time."""
        with self._database.read() as connection:
            return results.since(connection, study, after)

    def withdraw(self, study: str) -> None:
        """Let no ready task of kind 'trials' start any more; running ones go on."""
        with self._database.write() as connection:
            withdrawal.withdraw_ready(connection, row_of(connection, study).number)

    def finish(self, study: str, *, of: int, size: int, best: int | None) -> bool:
        """Make the study a finished fact of `size` trials, unless it was extended meanwhile."""
        with self._database.write() as connection:
            row = row_of(connection, study)
            if row.state == "searching" and row.size != of:
                return False
            if (row.state, row.size, row.best) != ("finished", size, best):
                _finish(connection, row.number, size, best)
            return True

    def events(self, study: str) -> Sequence[Event]:
        """The study's history, the oldest line first."""
        with self._database.read() as connection:
            return events.history(connection, study)


def row_of(connection: sa.Connection, study: str) -> Row:
    """The row of the study with this id.

    Raises:
        NotFound: There is none.
    """
    row = connection.execute(_BY_ID, {"id": study}).one_or_none()
    if row is None:
        raise NotFound(f"no study has the id {study!r}")
    return row


def _find(connection: sa.Connection, words: str) -> Row:
    """A name goes before a beginning: more of an id can always be given, another name cannot."""
    exact = (
        connection.execute(_BY_ID, {"id": words}).one_or_none()
        or connection.execute(_BY_NAME, {"name": words}).one_or_none()
    )
    if exact is not None:
        return exact
    near = connection.execute(_BY_BEGINNING, {"beginning": words, "length": len(words)}).all()
    if len(near) != 1 or not words:
        names = connection.execute(_NAMES).scalars().all()
        raise NotFound(_not_found(words, several=bool(near), names=names))
    return near[0]


def _not_found(words: str, *, several: bool, names: Sequence[str]) -> str:
    if several:
        return f"several studies' ids begin with {words!r}: give more of the id, or a name"
    return f"no study has the id or the name {words!r}{did_you_mean(words, names)}"


def _to_do(connection: sa.Connection, row: Row, study: Study) -> bool:
    """Whether opening the study, which is there, has anything to write."""
    if study.size > row.asked:
        return True
    # A coordinator that withdrew and then died left a search that nobody would go on with.
    return row.state == "searching" and withdrawal.any_withdrawn(connection, row.number)


def _open(connection: sa.Connection, study: Study) -> Row:
    """Another process may have been here since the last look: look again, then write."""
    row = connection.execute(_BY_ID, {"id": study.id}).one_or_none()
    if row is None:
        _create(connection, study)
    elif study.size > row.asked:
        _extend(connection, row.number, study.size)
    opened = row_of(connection, study.id)
    if opened.state == "searching":
        withdrawal.restore(connection, opened)
    return opened


def _create(connection: sa.Connection, study: Study) -> None:
    at = now(connection)
    statement = studies.insert().values(
        id=study.id,
        name=study.name,
        spec=study.spec,
        table_digest=study.table,
        sources=sources_to_json(study.sources),
        asked=study.size,
        size=study.size,
        limit_seconds=study.limits.seconds,
        limit_memory=study.limits.memory,
        state="searching",
        created=at,
    )
    number = connection.execute(statement.returning(studies.c.number)).scalar_one()
    event = Event(kind="opened", at=at, text=f"{study.size} trials")
    events.append(connection, number, event)


def _extend(connection: sa.Connection, study: int, size: int) -> None:
    connection.execute(_EXTEND, {"study": study, "to": size})
    counters.recount(connection, study)
    event = Event(kind="extended", at=now(connection), text=f"to {size} trials")
    events.append(connection, study, event)


def _finish(connection: sa.Connection, study: int, size: int, best: int | None) -> None:
    withdrawal.withdraw_ready(connection, study)
    withdrawal.withdraw_running(connection, study)
    at = now(connection)
    connection.execute(_FINISH, {"study": study, "to": size, "winner": best, "at": at})
    counters.recount(connection, study)
    event = Event(kind="finished", at=at, text=f"{size} trials")
    events.append(connection, study, event)


def _trial_row(trial: Trial, task: str, result: Result | None) -> TrialRow:
    waiting: TrialState = "running" if task == "running" else "waiting"
    return TrialRow(trial=trial, state=result.state if result else waiting, result=result)


def _study(row: Row) -> Study:
    return Study(
        id=row.id,
        name=row.name,
        spec=row.spec,
        table=row.table_digest,
        size=row.size,
        sources=sources_from_json(row.sources),
        limits=Limits(seconds=row.limit_seconds, memory=row.limit_memory),
        state=row.state,
        best=row.best,
        created=row.created,
        finished=row.finished,
    )
