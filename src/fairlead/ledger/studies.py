"""Studies and their trials.

A study is opened once, may be extended by a larger size, and is finished once until it is extended
again. Its definition (size, state, best) changes under the lock of its id alone, so that what is
checked still holds when it is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from fairlead.errors import NotFound
from fairlead.formatting import did_you_mean
from fairlead.ledger import attempts, bounds, events, results
from fairlead.ledger.database import Database, Row, now, study_lock
from fairlead.ledger.schema import studies, tasks
from fairlead.records import (
    Counts,
    Event,
    Limits,
    Result,
    Span,
    Study,
    Trial,
    TrialMark,
    TrialRow,
    TrialState,
)

_BY_ID = sa.select(studies).where(studies.c.id == sa.bindparam("id"))
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
_PAGE = _ALL.limit(sa.bindparam("limit"))
_PAGE_AFTER = _PAGE.where(
    studies.c.number
    < sa.select(studies.c.number).where(studies.c.id == sa.bindparam("after")).scalar_subquery()
)
_NAMES = sa.select(studies.c.name).distinct()
_TASKS = (
    sa.select(tasks.c.trials, tasks.c.state)
    .join(studies, studies.c.number == tasks.c.study)
    .where(studies.c.id == sa.bindparam("id"), tasks.c.kind == "trials")
)


def _next_tasks(state: str) -> sa.Select[tuple[int, tuple[Trial, ...], str]]:
    """The next tasks in one state, by the index that has the state before the id."""
    following = (
        sa.select(tasks.c.id, tasks.c.trials, tasks.c.state)
        .where(
            tasks.c.study == sa.bindparam("of"),
            tasks.c.state == state,
            tasks.c.id >= sa.bindparam("task"),
            tasks.c.kind == "trials",
        )
        .order_by(tasks.c.id)
        .limit(sa.bindparam("limit"))
        .subquery()
    )
    return sa.select(following)


_STATES = ("ready", "running", "done", "failed", "withdrawn")
_NEXT_TASKS = sa.union_all(*map(_next_tasks, _STATES)).order_by("id").limit(sa.bindparam("limit"))
_TASK_TRIALS = (
    sa.select(tasks.c.id, tasks.c.trials)
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
_NEED = _CHANGE.values(needs=sa.bindparam("packages", type_=studies.c.needs.type))
_RESPECIFY = _CHANGE.values(spec=sa.bindparam("as_asked"))
_PRIORITIZE = _CHANGE.values(priority=sa.bindparam("to"))
_PAUSE = _CHANGE.values(paused=sa.bindparam("to"))
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
        bounds.check_study(study)
        found = self._database.read(lambda connection: _as_wanted(connection, study))
        return found or self._database.write(
            lambda connection: _study(_open(connection, study)), lock=study_lock(study.id)
        )

    def get(self, study: str) -> Study:
        """The study with this id, of this name, or with this beginning of an id."""
        return self._database.read(lambda connection: _study(_find(connection, study)))

    def all(self) -> Sequence[Study]:
        """Every study, the newest first."""
        return self._database.read(
            lambda connection: [_study(row) for row in connection.execute(_ALL)]
        )

    def counts(self, study: str) -> Counts:
        """How far the study is."""
        found = self._database.read(lambda connection: results.counts(connection, study))
        if found is None:
            raise NotFound(f"no study has the id {study!r}")
        return found

    def ended(self, study: str, *, below: int) -> int:
        """How many of its trials with a lower number have ended."""
        return self._database.read(
            lambda connection: results.ended(connection, row_of(connection, study).number, below)
        )

    def trials(self, study: str) -> Sequence[TrialRow]:
        """Its trials below `Study.size` by number, with what is known of them."""
        return self._database.read(lambda connection: _trials(connection, study))

    def page(self, *, after: str | None, limit: int) -> Sequence[Study]:
        """So many studies, the newest first, from the one after the study with this id."""
        query = _PAGE if after is None else _PAGE_AFTER
        asked = {"limit": limit} | ({} if after is None else {"after": after})
        return self._database.read(
            lambda connection: [_study(row) for row in connection.execute(query, asked)]
        )

    def trials_page(
        self, study: str, *, after: TrialMark | None, limit: int
    ) -> tuple[Sequence[TrialRow], TrialMark | None]:
        """So many of its trials, and the mark to give next time; None at the end."""
        return self._database.read(
            lambda connection: _trials_page(connection, study, after or (0, -1), limit)
        )

    def leading(self, study: str, *, highest: bool) -> Result | None:
        """The result of its trials with the best score; None where none has a score."""
        return self._database.read(
            lambda connection: results.leading(connection, study, highest=highest)
        )

    def result(self, study: str, trial: int) -> Result | None:
        """How this trial of it ended; None where it has not."""

        def result(connection: sa.Connection) -> Result | None:
            number = row_of(connection, study).number
            return results.of_trials(connection, number, first=trial, last=trial).get(trial)

        return self._database.read(result)

    def spans(self, study: str) -> Mapping[int, Span]:
        """For each of its trials that was ever claimed, when the last attempt at it was."""
        return self._database.read(lambda connection: _spans(connection, study))

    def results(self, study: str, *, after: int = 0) -> tuple[Sequence[Result], int]:
        """Results that were committed after the given mark, and the mark to give next time."""
        return self._database.read(lambda connection: results.since(connection, study, after))

    def prioritize(self, study: str, priority: int, *, by: str = "") -> None:
        """Let its tasks go before those of studies of a lower priority."""
        bounds.check_priority(priority)
        text = f"to {priority} by {by}" if by else f"to {priority}"
        self._change(study, _PRIORITIZE, priority, kind="prioritized", text=text)

    def pause(self, study: str, *, by: str = "") -> None:
        """Let its ready tasks wait; running ones go on."""
        self._change(study, _PAUSE, True, kind="paused", text=_by(by))  # noqa: FBT003 - the column's value

    def resume(self, study: str, *, by: str = "") -> None:
        """Let its ready tasks be taken again."""
        self._change(study, _PAUSE, False, kind="resumed", text=_by(by))  # noqa: FBT003 - the column's value

    def _change(
        self, study: str, statement: sa.UpdateBase, to: int, *, kind: str, text: str = ""
    ) -> None:
        def change(connection: sa.Connection) -> None:
            number = row_of(connection, study).number
            connection.execute(statement, {"study": number, "to": to})
            events.append(connection, number, Event(kind=kind, at=now(connection), text=text))

        self._database.write(change, lock=study_lock(study))

    def withdraw(self, study: str) -> None:
        """Let no ready task of kind 'trials' start any more; running ones go on."""
        self._database.write(
            lambda connection: attempts.withdraw_ready(
                connection, row_of(connection, study).number
            ),
            lock=study_lock(study),
        )

    def finish(self, study: str, *, of: int, size: int, best: int | None) -> bool:
        """Make the study a finished fact of `size` trials, unless it was extended meanwhile."""

        def finish(connection: sa.Connection) -> bool:
            row = row_of(connection, study)
            if row.state == "searching" and row.size != of:
                return False
            if (row.state, row.size, row.best) != ("finished", size, best):
                _finish(connection, row.number, size, best)
            return True

        return self._database.write(finish, lock=study_lock(study))

    def events(self, study: str) -> Sequence[Event]:
        """The study's history, the oldest line first."""
        return self._database.read(lambda connection: events.history(connection, study))


def _by(who: str) -> str:
    return f"by {who}" if who else ""


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


def _as_wanted(connection: sa.Connection, study: Study) -> Study | None:
    """The study, where opening it has nothing to write."""
    row = connection.execute(_BY_ID, {"id": study.id}).one_or_none()
    if row is None:
        return None
    bounds.check_same(row, study)
    return None if _to_do(connection, row, study) else _study(row)


def _trials(connection: sa.Connection, study: str) -> Sequence[TrialRow]:
    size = row_of(connection, study).size
    known, _ = results.since(connection, study, 0)
    by_number = {result.number: result for result in known}
    found = [
        _trial_row(trial, row.state, by_number.get(trial.number))
        for row in connection.execute(_TASKS, {"id": study})
        for trial in row.trials
        if trial.number < size
    ]
    return sorted(found, key=lambda row: row.trial.number)


def _trials_page(
    connection: sa.Connection, study: str, after: TrialMark, limit: int
) -> tuple[Sequence[TrialRow], TrialMark | None]:
    of = row_of(connection, study)
    found: list[tuple[int, Trial, str]] = []
    task, trial = after
    while len(found) <= limit:
        asked = {"of": of.number, "task": task, "limit": limit + 2}
        rows = connection.execute(_NEXT_TASKS, asked).all()
        found += [
            (row.id, one, row.state)
            for row in rows
            for one in row.trials
            if one.number < of.size and (row.id > task or one.number > trial)
        ]
        if len(rows) < limit + 2:
            break
        task, trial = rows[-1].id, rows[-1].trials[-1].number
    page = found[:limit]
    numbers = [one.number for _, one, _ in page] or [0]
    known = results.of_trials(connection, of.number, first=min(numbers), last=max(numbers))
    listed = [_trial_row(one, state, known.get(one.number)) for _, one, state in page]
    return listed, (page[-1][0], page[-1][1].number) if len(found) > limit else None


def _spans(connection: sa.Connection, study: str) -> Mapping[int, Span]:
    row_of(connection, study)
    of_tasks = events.spans(connection, study)
    return {
        trial.number: span
        for row in connection.execute(_TASK_TRIALS, {"id": study})
        if (span := of_tasks.get(row.id))
        for trial in row.trials
    }


def _to_do(connection: sa.Connection, row: Row, study: Study) -> bool:
    """Whether opening the study, which is there, has anything to write."""
    is_as_given = study.size <= row.asked and study.needs == row.needs
    if not is_as_given or _shared_as(row.spec, study.spec) is not None:
        return True
    # A coordinator that withdrew and then died left a search that nobody would go on with.
    return row.state == "searching" and attempts.any_withdrawn(connection, row.number)


def _shared_as(spec: str, asked: str) -> str | None:
    """A study's spec with what another says of who shares its fits; None where that is the same."""
    if spec == asked:
        return None
    try:
        says, train = json.loads(spec), json.loads(asked).get("train")
        if says.get("train") == train:
            return None
    except (ValueError, AttributeError):  # no such document: it is kept as it is
        return None
    return json.dumps({**says, "train": train}, sort_keys=True, separators=(",", ":"))


def _open(connection: sa.Connection, study: Study) -> Row:
    """Another process may have been here since the last look: look again, then write."""
    row = connection.execute(_BY_ID, {"id": study.id}).one_or_none()
    if row is None:
        _create(connection, study)
    else:
        bounds.check_same(row, study)
        if study.size > row.asked:
            _extend(connection, row.number, study.size)
        if study.needs != row.needs:
            connection.execute(_NEED, {"study": row.number, "packages": study.needs})
        if (spec := _shared_as(row.spec, study.spec)) is not None:
            connection.execute(_RESPECIFY, {"study": row.number, "as_asked": spec})
    opened = row_of(connection, study.id)
    if opened.state == "searching":
        attempts.restore(connection, opened, study.size)
    return opened


def _create(connection: sa.Connection, study: Study) -> None:
    at = now(connection)
    statement = studies.insert().values(
        id=study.id,
        name=study.name,
        spec=study.spec,
        table_digest=study.table,
        sources=study.sources,
        asked=study.size,
        size=study.size,
        limit_seconds=study.limits.seconds,
        limit_memory=study.limits.memory,
        priority=study.priority,
        paused=study.paused,
        needs=study.needs,
        state="searching",
        created=at,
    )
    number = connection.execute(statement.returning(studies.c.number)).scalar_one()
    event = Event(kind="opened", at=at, text=f"{study.size} trials")
    events.append(connection, number, event)


def _extend(connection: sa.Connection, study: int, size: int) -> None:
    connection.execute(_EXTEND, {"study": study, "to": size})
    results.recount(connection, study)
    event = Event(kind="extended", at=now(connection), text=f"to {size} trials")
    events.append(connection, study, event)


def _finish(connection: sa.Connection, study: int, size: int, best: int | None) -> None:
    attempts.lock_open(connection, study)
    attempts.withdraw_ready(connection, study)
    attempts.withdraw_running(connection, study)
    at = now(connection)
    connection.execute(_FINISH, {"study": study, "to": size, "winner": best, "at": at})
    results.recount(connection, study)
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
        sources=row.sources,
        limits=Limits(seconds=row.limit_seconds, memory=row.limit_memory),
        priority=row.priority,
        paused=row.paused,
        needs=row.needs,
        state=row.state,
        best=row.best,
        created=row.created,
        finished=row.finished,
    )
