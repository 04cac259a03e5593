"""Tasks: what a study wants done, handed out to workers.

A trial is in one task at most, so that adding is safe to repeat: what is there is left as it is.
How an attempt at a task goes stands in attempts.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa

from fairlead.ledger import attempts, bounds, results, turns
from fairlead.ledger.database import Database, Row, check_lease, study_lock
from fairlead.ledger.schema import events, studies, tasks, trials
from fairlead.ledger.studies import row_of
from fairlead.ledger.wanted import wanted
from fairlead.records import (
    Claim,
    Completed,
    Digest,
    NewTask,
    Offer,
    Result,
    RunningTask,
    TaskQueue,
    TaskSubject,
)

_AT_ONCE = 1000  # tasks that one transaction adds: others write in between
_KNOWN = sa.select(trials.c.number).where(
    trials.c.study == sa.bindparam("study"),
    trials.c.number.between(sa.bindparam("first"), sa.bindparam("last")),
)
_IS_REFIT = tasks.c.kind == sa.literal_column("'refit'")  # a literal: see attempts.py
_LIVE_REFITS = sa.select(tasks.c.refit).where(
    tasks.c.study == sa.bindparam("study"),
    _IS_REFIT,
    tasks.c.state != sa.literal_column("'failed'"),
)
_INSERT = tasks.insert()
_INSERT_TRIALS = trials.insert()
_REFIT = (
    sa.select(tasks.c.state, tasks.c.candidate, tasks.c.reason)
    .join(studies, studies.c.number == tasks.c.study)
    .where(
        studies.c.id == sa.bindparam("id"),
        _IS_REFIT,
        tasks.c.refit == sa.bindparam("trial"),
    )
    .order_by(tasks.c.id.desc())
    .limit(1)
)
_SUBJECTS = (
    sa.select(tasks.c.id, tasks.c.kind, tasks.c.trials)
    .join(studies, studies.c.number == tasks.c.study)
    .where(studies.c.id == sa.bindparam("id"))
)
_RUNNING = (
    sa.select(
        tasks.c.id,
        studies.c.id.label("study_id"),
        tasks.c.kind,
        tasks.c.trials,
        tasks.c.attempts,
        tasks.c.worker,
        events.c.at,
        tasks.c.lease_ends,
    )
    .join(studies, studies.c.number == tasks.c.study)
    .join(events, events.c.id == tasks.c.token)  # the claim
    .where(tasks.c.state == sa.literal_column("'running'"))
    .order_by(tasks.c.id)
)
_OPEN = sa.select(sa.func.coalesce(sa.func.sum(studies.c.ready + studies.c.running), 0))
_OPEN_OF_STUDY = _OPEN.where(studies.c.id == sa.bindparam("id"))


class SqlTasks:
    """Tasks and the attempts at them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, study: str, tasks: Sequence[NewTask]) -> None:
        """Put tasks in, in this order. One whose trials are there already is left as it is."""
        bounds.check_tasks(tasks)
        for first in range(0, max(1, len(tasks)), _AT_ONCE):
            chunk = tasks[first : first + _AT_ONCE]
            self._database.write(
                partial(_add, study=study, new=chunk),
                lock=study_lock(study),
                durable=first + _AT_ONCE >= len(tasks),  # what comes before the last is durable too
            )

    def claim(
        self, worker: str, *, lease: float, study: str | None = None, offer: Offer | None = None
    ) -> Claim | None:
        """Take the ready task whose turn it is, or None where there is none."""
        check_lease(lease)
        look = partial(attempts.claimable, worker=worker, study=study, offer=offer)
        if not self._database.read(look):
            return None
        # After a power cut no worker is left that a claim or a heartbeat could matter to.
        return self._database.write(
            partial(attempts.claim, worker=worker, lease=lease, study=study, offer=offer),
            durable=False,
        )

    def heartbeat(self, claim: Claim, *, lease: float) -> None:
        """Extend the lease."""
        check_lease(lease)
        self._database.write(
            lambda connection: attempts.heartbeat(connection, claim, lease), durable=False
        )

    def commit(self, claim: Claim, results: Sequence[Result]) -> None:
        """Write the results of a 'trials' task, one for each of its trials, and end it."""

        def commit(connection: sa.Connection) -> None:
            attempts.commit(connection, claim, results)
            self._database.tell(connection, claim.study)

        self._database.write(commit)

    def commit_and_claim(
        self,
        completed: Sequence[Completed],
        *,
        lease: float,
        study: str | None = None,
        offer: Offer | None = None,
        most: int = 1,
    ) -> Sequence[Claim]:
        """Commit each, then take the next tasks for the same worker, in one transaction."""
        check_lease(lease)
        bounds.check_completed(completed)

        def commit_and_claim(connection: sa.Connection) -> Sequence[Claim]:
            following = attempts.commit_and_claim(
                connection, completed, lease=lease, study=study, offer=offer, most=most
            )
            if not following:  # a NOTIFY locks the cluster: not in each commit of results
                self._database.tell(connection, completed[0].claim.study)
            return following

        return self._database.write(commit_and_claim)

    def commit_refit(self, claim: Claim, candidate: Digest) -> None:
        """Write the artefact that a 'refit' task made, and end it."""

        def commit(connection: sa.Connection) -> None:
            attempts.commit_refit(connection, claim, candidate)
            self._database.tell(connection, claim.study)

        self._database.write(commit)

    def fault(self, claim: Claim, reason: str, *, final: bool = False) -> bool:
        """Report that the attempt failed; True where that was the last one allowed."""

        def fault(connection: sa.Connection) -> bool:
            is_last = attempts.fault(connection, claim, reason, final=final)
            self._database.tell(connection, claim.study)
            return is_last

        return self._database.write(fault)

    def release(self, claim: Claim, reason: str) -> None:
        """Give the task back unfinished; it counts neither as a fault nor as lost."""
        self._database.write(lambda connection: attempts.release(connection, claim, reason))

    def lose(self, worker: str, why: str = "") -> int:
        """End the leases of a worker known to be dead; returns how many there were."""
        return self._database.write(lambda connection: attempts.lose(connection, worker, why))

    def ask_to_leave(self, workers: Collection[str]) -> None:
        """Let these workers have no further task."""
        self._database.write(
            lambda connection: attempts.ask_to_leave(connection, workers), durable=False
        )

    def is_leaving(self, worker: str) -> bool:
        """Whether the worker is asked to leave."""
        return self._database.read(lambda connection: attempts.is_leaving(connection, worker))

    def refit(self, study: str, trial: int) -> tuple[Digest | None, str | None]:
        """What the refit of this trial came to."""
        return self._database.read(lambda connection: _refit(connection, study, trial))

    def waiting(self) -> Sequence[TaskQueue]:
        """The ready tasks that a worker may take, by study and family, in the order of turns."""
        waiting = self._database.read(lambda connection: turns.waiting(connection, "", None))
        return turns.by_turn(waiting.queues, None)

    def subjects(self, study: str) -> Mapping[int, TaskSubject]:
        """What each task of a study is about, by its id."""
        return self._database.read(lambda connection: _subjects(connection, study))

    def running(self) -> Sequence[RunningTask]:
        """The tasks that workers have in hand, the oldest first."""
        return self._database.read(
            lambda connection: [_running(row) for row in connection.execute(_RUNNING)]
        )

    def open(self, study: str | None = None) -> int:
        """Number of tasks that are ready or running (of this study)."""
        return self._database.read(lambda connection: _open(connection, study))


def _refit(connection: sa.Connection, study: str, trial: int) -> tuple[Digest | None, str | None]:
    row = connection.execute(_REFIT, {"id": study, "trial": trial}).one_or_none()
    if row is None:
        return None, None
    return row.candidate, row.reason if row.state == "failed" else None


def _subjects(connection: sa.Connection, study: str) -> Mapping[int, TaskSubject]:
    return {
        row.id: TaskSubject(kind=row.kind, trials=tuple(trial.number for trial in row.trials))
        for row in connection.execute(_SUBJECTS, {"id": study})
    }


def _running(row: Row) -> RunningTask:
    return RunningTask(
        task=row.id,
        study=row.study_id,
        kind=row.kind,
        trials=tuple(trial.number for trial in row.trials),
        attempt=row.attempts,
        worker=row.worker,
        since=row.at,
        lease_ends=row.lease_ends,
    )


def _open(connection: sa.Connection, study: str | None) -> int:
    if study is None:
        return int(connection.execute(_OPEN).scalar_one())
    return int(connection.execute(_OPEN_OF_STUDY, {"id": study}).scalar_one())


def _add(connection: sa.Connection, study: str, new: Sequence[NewTask]) -> None:
    row = row_of(connection, study)
    rows = [*_new_trials(connection, row, new), *_new_refits(connection, row, new)]
    if not rows:
        return
    connection.execute(_INSERT, rows)
    results.count(connection, row.number, ready=sum(row["state"] == "ready" for row in rows))


def _new_trials(
    connection: sa.Connection, study: Row, new: Sequence[NewTask]
) -> list[dict[str, Any]]:
    """Rows for what is not there yet; the trials' own rows are inserted here."""
    asked = [task for task in new if task.kind == "trials"]
    fresh = list(_without(_known(connection, study.number, asked), asked))
    numbers = [trial.number for task in fresh for trial in task.trials]
    if numbers:
        rows = [{"study": study.number, "number": number} for number in numbers]
        connection.execute(_INSERT_TRIALS, rows)
    limit = wanted(connection, study) if fresh else 0
    return [_row(study, task, limit) for task in fresh]


def _new_refits(
    connection: sa.Connection, study: Row, new: Sequence[NewTask]
) -> list[dict[str, Any]]:
    asked = [task for task in new if task.kind == "refit"]
    if not asked:
        return []
    limit = wanted(connection, study)
    if limit:
        numbers = [task.trials[0].number for task in asked]
        attempts.restore_refits(connection, study.number, numbers)
    live = set(connection.execute(_LIVE_REFITS, {"study": study.number}).scalars())
    return [_row(study, task, limit) for task in _without(live, asked)]


def _known(connection: sa.Connection, study: int, wanted: Sequence[NewTask]) -> set[int]:
    numbers = [trial.number for task in wanted for trial in task.trials]
    if not numbers:
        return set()
    span = {"study": study, "first": min(numbers), "last": max(numbers)}
    return set(connection.execute(_KNOWN, span).scalars())


def _without(known: set[int], wanted: Sequence[NewTask]) -> Iterator[NewTask]:
    """The tasks without the trials that are known already, and no trial twice."""
    for task in wanted:
        fresh = tuple(trial for trial in task.trials if trial.number not in known)
        known |= {trial.number for trial in fresh}
        if fresh:
            yield NewTask(kind=task.kind, trials=fresh)


def _row(study: Row, task: NewTask, limit: int) -> dict[str, Any]:
    return {
        "study": study.number,
        "kind": task.kind,
        "state": _first_state(study, task, limit),
        "family": task.trials[0].family,
        "trials": task.trials,
        "refit": task.trials[0].number if task.kind == "refit" else None,
    }


def _first_state(study: Row, task: NewTask, limit: int) -> str:
    """A study that ended meanwhile, or ended shorter, or whose run was cancelled, wants no more
    trials: another coordinator of it may still be adding some. A refit is of a study that has
    ended, and no more wanted once no run goes on.
    """
    if task.kind == "refit":
        return "ready" if limit else "withdrawn"
    within = all(trial.number < study.size for trial in task.trials)
    asked = any(trial.number < limit for trial in task.trials)
    return "ready" if study.state == "searching" and within and asked else "withdrawn"
