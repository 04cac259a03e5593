"""Attempts: a task's executions, each under a lease and with a fencing token.

An attempt begins with a claim and ends in one of these ways: its work is committed, it faults, it
is released, its lease ends, or its study withdraws the task. Every later write of an attempt names
its token and changes the task only while that attempt runs; of what the claim says of its task the
ledger believes nothing else: kind, trials and attempt are the task's own. A task that has ended is
ready again, done, failed or withdrawn; the study may make withdrawn tasks ready again.

Every function but `claimable` and `any_withdrawn` takes the connection of a write transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from itertools import takewhile
from typing import Any, Literal, TypeAlias

import sqlalchemy as sa

from fairlead.errors import Invalid, Lost
from fairlead.ledger import events, results, turns
from fairlead.ledger.database import Now, Row, now
from fairlead.ledger.interface import MAX_AT_ONCE, MAX_FAULTS, MAX_LOST
from fairlead.ledger.schema import leaving_workers, studies, tasks
from fairlead.records import Claim, Completed, Digest, Event, Offer, Result, TaskKind, Trial

Next: TypeAlias = Literal["ready", "failed"]

# Literals, not parameters: only so does SQLite know that the partial indexes serve.
_IS_READY = tasks.c.state == sa.literal_column("'ready'")
_NOBODY = {"token": None, "worker": None, "lease": None, "lease_ends": None}

_RUNNING = (
    sa.select(
        tasks.c.id,
        tasks.c.study,
        tasks.c.kind,
        tasks.c.trials,
        tasks.c.attempts,
        tasks.c.lost,
        tasks.c.worker,
    )
    .where(turns.IS_RUNNING)
    .with_for_update(skip_locked=True)
)
_ENDED = _RUNNING.where(turns.HAS_ENDED)
_OF_WORKER = _RUNNING.where(tasks.c.worker == sa.bindparam("of"))
_IS_LEAVING = sa.exists().where(leaving_workers.c.worker == sa.bindparam("by"))
_LEAVING = sa.select(_IS_LEAVING)
_LEAVE = leaving_workers.insert()
_LEFT = leaving_workers.delete().where(leaving_workers.c.worker == sa.bindparam("by"))
_QUEUED = (
    sa.select(
        tasks.c.id,
        tasks.c.study,
        tasks.c.kind,
        tasks.c.trials,
        tasks.c.attempts,
        tasks.c.checkpoint,
        studies.c.id.label("study_id"),
        Now().label("now"),
    )
    .join(studies, studies.c.number == tasks.c.study)
    .where(
        _IS_READY,
        tasks.c.study == sa.bindparam("of"),
        tasks.c.family == sa.bindparam("family"),
    )
    .order_by(tasks.c.id)
    .with_for_update(skip_locked=True, of=tasks)
)

_START = (
    tasks.update()
    .where(tasks.c.id == sa.bindparam("task"))
    .values(
        state="running",
        attempts=sa.bindparam("attempt"),
        token=sa.bindparam("fence"),
        worker=sa.bindparam("by"),
        lease=sa.bindparam("seconds"),
        lease_ends=sa.bindparam("ends"),
    )
)
_LOSE = (
    tasks.update()
    .where(tasks.c.id == sa.bindparam("task"))
    .values(
        state=sa.bindparam("next"),
        lost=tasks.c.lost + 1,
        reason=sa.bindparam("why"),
        checkpoint=sa.case((sa.bindparam("next") == "failed", sa.null()), else_=tasks.c.checkpoint),
        **_NOBODY,
    )
)
# Every later write of an attempt: this task, under this token, by this worker, still running. A
# server that crashed may give a token again whose claim it lost: so the token alone is not enough.
_MINE = (
    tasks.update()
    .where(
        tasks.c.id == sa.bindparam("task"),
        tasks.c.token == sa.bindparam("fence"),
        tasks.c.worker == sa.bindparam("by"),
        turns.IS_RUNNING,
    )
    .returning(tasks.c.study, tasks.c.kind, tasks.c.trials, tasks.c.attempts, Now().label("now"))
)
# The same for several tasks, once it is said which (see _all_done).
_ALL_DONE = (
    tasks.update()
    .where(tasks.c.worker == sa.bindparam("by"), turns.IS_RUNNING)
    .values(state="done", reason=None, checkpoint=None, **_NOBODY)
    .returning(
        tasks.c.id,
        tasks.c.study,
        tasks.c.family,
        tasks.c.kind,
        tasks.c.trials,
        tasks.c.attempts,
        Now().label("now"),
    )
)
_EXTEND = _MINE.values(lease=sa.bindparam("seconds"), lease_ends=Now() + sa.bindparam("seconds"))
_REPORTED = _MINE.values(checkpoint=sa.func.coalesce(sa.bindparam("made"), tasks.c.checkpoint))
_MADE = _MINE.values(
    state="done", candidate=sa.bindparam("made"), reason=None, checkpoint=None, **_NOBODY
)
_RELEASE = _MINE.values(state="ready", **_NOBODY)
_IS_LAST_FAULT = sa.bindparam("final", type_=sa.Boolean()) | (tasks.c.faults + 1 >= MAX_FAULTS)
# The last attempt that is allowed starts anew: it may be the checkpoint that fails.
_IS_LAST_BUT_ONE = tasks.c.faults + 2 >= MAX_FAULTS
_FAULT = _MINE.values(
    state=sa.case((_IS_LAST_FAULT, "failed"), else_="ready"),
    faults=tasks.c.faults + 1,
    reason=sa.case((_IS_LAST_FAULT, sa.bindparam("why_failed")), else_=sa.bindparam("why")),
    checkpoint=sa.case((_IS_LAST_BUT_ONE, sa.null()), else_=tasks.c.checkpoint),
    **_NOBODY,
).returning(tasks.c.state, tasks.c.reason)
_RESTART = (
    tasks.update()
    .where(tasks.c.id == sa.bindparam("task"))
    .values(state="ready", trials=sa.bindparam("of"), faults=0, lost=0, reason=None)
)
_WHO_HAS = sa.select(tasks.c.state, tasks.c.attempts, tasks.c.worker).where(
    tasks.c.id == sa.bindparam("task")
)
_OF_STUDY = tasks.c.study == sa.bindparam("of")
_IS_OF_TRIALS = tasks.c.kind == "trials"
_IS_OF_KINDS = tasks.c.kind.in_(sa.bindparam("kinds", expanding=True))
_IS_WITHDRAWN = tasks.c.state == sa.literal_column("'withdrawn'")
_WITHDRAW = tasks.update().values(state="withdrawn", checkpoint=None, **_NOBODY)
_WITHDRAW_READY = _WITHDRAW.where(_OF_STUDY, _IS_OF_KINDS, _IS_READY)
_WITHDRAW_RUNNING = _WITHDRAW.where(_OF_STUDY, _IS_OF_KINDS, turns.IS_RUNNING)
_ALL_READY = sa.select(tasks.c.id, tasks.c.trials).where(_OF_STUDY, _IS_OF_TRIALS, _IS_READY)
_WITHDRAW_ONE = _WITHDRAW.where(tasks.c.id == sa.bindparam("task"))
_ATTEMPTS = sa.select(tasks.c.id, tasks.c.attempts, tasks.c.worker).where(
    _OF_STUDY, _IS_OF_KINDS, turns.IS_RUNNING
)
_LOCKED = (
    sa.select(tasks.c.id)
    .where(_OF_STUDY, _IS_READY | turns.IS_RUNNING)
    .order_by(tasks.c.id)
    .with_for_update()
    .subquery()
)
_LOCK = sa.select(sa.func.count()).select_from(_LOCKED)
_ANY_WITHDRAWN = sa.select(sa.exists().where(_OF_STUDY, _IS_OF_TRIALS, _IS_WITHDRAWN))
_ALL_WITHDRAWN = sa.select(tasks.c.id, tasks.c.trials).where(
    _OF_STUDY, _IS_OF_TRIALS, _IS_WITHDRAWN
)
_RESTORE = tasks.update().where(tasks.c.id == sa.bindparam("task")).values(state="ready")
_RESTORE_REFITS = (
    tasks.update()
    .where(
        _OF_STUDY,
        tasks.c.kind == sa.literal_column("'refit'"),
        tasks.c.refit.in_(sa.bindparam("numbers", expanding=True)),
        _IS_WITHDRAWN,
    )
    .values(state="ready")
)


@dataclass(frozen=True, kw_only=True)
class _Ended:
    """An attempt that brought no result, and what follows."""

    task: int
    study: int
    kind: TaskKind
    trials: Sequence[Trial]
    attempts: int
    following: Next
    reason: str


def claimable(
    connection: sa.Connection, worker: str, *, study: str | None, offer: Offer | None
) -> bool:
    """Whether a claim may find something. Takes no lock, so that idle workers disturb nobody."""
    waiting = turns.waiting(connection, worker, study)
    return waiting.any_ended or bool(turns.by_turn(waiting.queues, offer))


def claim(
    connection: sa.Connection,
    worker: str,
    *,
    lease: float,
    study: str | None,
    offer: Offer | None,
) -> Claim | None:
    """Take the ready task whose turn it is, once those whose lease has ended are ready again."""
    found = _next(connection, worker, study, offer)
    if not found:
        return None
    [task] = found
    token = events.append(connection, task.study, _claimed(task, worker, task.now))
    [started] = _start(connection, found, [token], worker, lease)
    results.count(connection, task.study, ready=-1, running=1, served=token)
    return started


def heartbeat(connection: sa.Connection, held: Claim, lease: float) -> None:
    """Extend the lease. Raises Lost."""
    _mine(connection, _EXTEND, held, seconds=lease)


def report(connection: sa.Connection, held: Claim, checkpoint: Digest | None) -> Row:
    """Keep a checkpoint where there is one; the task as it is. Raises Lost."""
    return _mine(connection, _REPORTED, held, made=checkpoint)


def note(connection: sa.Connection, held: Claim, text: str) -> None:
    """Put a line of the attempt into the history. Raises Lost."""
    _append(connection, "noted", held, report(connection, held, None), text)


def commit(connection: sa.Connection, held: Claim, found: Sequence[Result]) -> None:
    """End the attempt with the results of its trials. Raises Lost."""
    [row] = _done(connection, [Completed(claim=held, results=tuple(found))])
    _append(connection, "committed", held, row)
    results.write(connection, row.study, _counted(found, row), running=-1)


def commit_refit(connection: sa.Connection, held: Claim, candidate: str) -> None:
    """End the attempt with the artefact that it made. Raises Lost."""
    row = _mine(connection, _MADE, held, made=candidate)
    if row.kind != "refit":
        raise Invalid(f"task {held.task} is of kind {row.kind!r}: commit its results")
    _append(connection, "committed", held, row)
    results.count(connection, row.study, running=-1)


def commit_and_claim(  # noqa: PLR0913 - what both need
    connection: sa.Connection,
    completed: Sequence[Completed],
    *,
    lease: float,
    study: str | None,
    offer: Offer | None,
    most: int,
) -> list[Claim]:
    """`commit` each, then `claim` for the same worker, in as many statements as for one.

    The study's row, in which all of its workers count, is written last: it is locked from then on.
    Raises Lost.
    """
    rows = _done(connection, completed)
    worker, of = completed[0].claim.worker, rows[0].study
    following = _next(connection, worker, study, offer, after=rows, most=most)
    # What is done together has one time.
    lines = [
        (of, replace(_line("committed", one.claim, row), at=rows[0].now))
        for one, row in zip(completed, rows, strict=True)
    ]
    lines += [(task.study, _claimed(task, worker, following[0].now)) for task in following]
    tokens = events.append_all(connection, lines)[len(rows) :]
    started = _start(connection, following, tokens, worker, lease)
    found = [
        result
        for one, row in zip(completed, rows, strict=True)
        for result in _counted(one.results, row)
    ]
    taken = len(following)
    served = tokens[-1] if tokens else None
    if not taken or following[0].study == of:
        running = taken - len(rows)
        results.write(connection, of, found, ready=-taken, running=running, served=served)
        return started
    other = following[0].study
    count = partial(results.count, connection, other, ready=-taken, running=taken, served=served)
    write = partial(results.write, connection, of, found, running=-len(rows))
    for change in (count, write) if other < of else (write, count):  # all lock in this order
        change()
    return started


def release(connection: sa.Connection, held: Claim, reason: str) -> None:
    """End the attempt, the task ready for another. Raises Lost."""
    row = _mine(connection, _RELEASE, held)
    results.count(connection, row.study, running=-1, ready=1)
    _append(connection, "released", held, row, reason)


def fault(connection: sa.Connection, held: Claim, reason: str, *, final: bool) -> bool:
    """End the attempt as failed; True where it was the last one allowed. Raises Lost."""
    # The number is of its faults alone: lost leases must not change what a study says.
    failed = reason if final else f"{reason} (after {MAX_FAULTS} attempts)"
    row = _mine(connection, _FAULT, held, why=reason, why_failed=failed, final=final)
    _append(connection, "faulted", held, row, reason)
    ended = _Ended(
        task=held.task,
        study=row.study,
        kind=row.kind,
        trials=row.trials,
        attempts=row.attempts,
        following=row.state,
        reason=row.reason,
    )
    return _settle(connection, ended)


def lose(connection: sa.Connection, worker: str, why: str = "") -> int:
    """End every lease of a worker; returns how many there were."""
    running = connection.execute(_OF_WORKER, {"of": worker}).all()
    for task in running:
        _lose(connection, task, why)
    connection.execute(_LEFT, {"by": worker})
    return len(running)


def ask_to_leave(connection: sa.Connection, workers: Collection[str]) -> None:
    """Let these workers claim nothing any more."""
    for worker in workers:
        if not is_leaving(connection, worker):
            connection.execute(_LEAVE, {"worker": worker})


def is_leaving(connection: sa.Connection, worker: str) -> bool:
    """Whether the worker is asked to leave."""
    return bool(connection.execute(_LEAVING, {"by": worker}).scalar_one())


def lock_open(connection: sa.Connection, study: int) -> None:
    """Lock every task that is ready or running, before anything of the study's own row.

    Attempts lock their task first and count it in the study's row last. A shared fit that is split
    meanwhile leaves tasks behind that the first look did not see.
    """
    before = -1
    while (count := connection.execute(_LOCK, {"of": study}).scalar_one()) != before:
        before = count


def withdraw_ready(
    connection: sa.Connection, study: int, kinds: Sequence[TaskKind] = ("trials",)
) -> None:
    """Let no ready task of these kinds start any more."""
    gone = connection.execute(_WITHDRAW_READY, {"of": study, "kinds": kinds}).rowcount
    results.count(connection, study, ready=-gone)


def withdraw_beyond(connection: sa.Connection, study: int, size: int) -> None:
    """Let no ready task start any more whose trials are all beyond the first `size`."""
    gone = [
        {"task": task.id}
        for task in connection.execute(_ALL_READY, {"of": study}).all()
        if all(trial.number >= size for trial in task.trials)
    ]
    if gone:
        connection.execute(_WITHDRAW_ONE, gone)
        results.count(connection, study, ready=-len(gone))


def withdraw_running(
    connection: sa.Connection, study: int, kinds: Sequence[TaskKind] = ("trials",)
) -> None:
    """Take running tasks of these kinds from their workers: what they commit comes too late."""
    at = now(connection)
    meant = {"of": study, "kinds": kinds}
    attempts = connection.execute(_ATTEMPTS, meant).all()
    for task in attempts:
        event = Event(
            kind="withdrawn", at=at, task=task.id, attempt=task.attempts, worker=task.worker
        )
        events.append(connection, study, event)
    connection.execute(_WITHDRAW_RUNNING, meant)
    results.count(connection, study, running=-len(attempts))


def any_withdrawn(connection: sa.Connection, study: int) -> bool:
    """Whether there is anything to restore."""
    return bool(connection.execute(_ANY_WITHDRAWN, {"of": study}).scalar_one())


def restore(connection: sa.Connection, study: Row, wanted: int) -> None:
    """Make the tasks within the size of the study ready again that have one of so many trials."""
    back = [
        {"task": task.id}
        for task in connection.execute(_ALL_WITHDRAWN, {"of": study.number}).all()
        if all(trial.number < study.size for trial in task.trials)
        and any(trial.number < wanted for trial in task.trials)
    ]
    if back:
        connection.execute(_RESTORE, back)
        results.count(connection, study.number, ready=len(back))


def restore_refits(connection: sa.Connection, study: int, trials: Sequence[int]) -> None:
    """Make the withdrawn tasks ready again that refit one of these trials."""
    back = connection.execute(_RESTORE_REFITS, {"of": study, "numbers": trials}).rowcount
    results.count(connection, study, ready=back)


def after_lost(lost: int) -> Next:
    """What becomes of a task after so many ended leases."""
    return "failed" if lost >= MAX_LOST else "ready"


def _next(  # noqa: PLR0913 - whose turn it is depends on all of it
    connection: sa.Connection,
    worker: str,
    study: str | None,
    offer: Offer | None,
    *,
    after: Sequence[Row] = (),
    most: int = 1,
) -> Sequence[Row]:
    """The ready task whose turn it is, locked, once those whose lease has ended are ready again.

    After some tasks of its study and family, as many more as may be taken together.
    """
    if most < 1:
        return ()
    waiting = turns.waiting(connection, worker, study)
    if waiting.any_ended:
        for ended in connection.execute(_ENDED).all():
            _lose(connection, ended, "its lease ended")
        waiting = turns.waiting(connection, worker, study)
    for queue in turns.by_turn(waiting.queues, offer):
        alike = any((queue.number, queue.family) == (row.study, row.family) for row in after)
        many = turns.at_once(queue, min(most, MAX_AT_ONCE), held=len(after)) if alike else 1
        head = {"of": queue.number, "family": queue.family}
        found = connection.execute(_oldest(many), head).all()
        if found:  # others have not taken the whole queue since
            return list(takewhile(_is_fresh, found)) or found[:1]
    return ()


@cache
def _oldest(many: int) -> sa.Select[Any]:
    """The first tasks of a queue; how many is a literal, by which PostgreSQL plans."""
    return _QUEUED.limit(sa.literal_column(str(many)))


def _is_fresh(task: Row) -> bool:
    """Whether a task may be taken with others: what ended its worker would take them with it."""
    return bool(task.attempts == 0 and task.kind == "trials")


def _claimed(task: Row, worker: str, at: float) -> Event:
    attempt = task.attempts + 1
    return Event(kind="claimed", at=at, task=task.id, attempt=attempt, worker=worker)


def _start(
    connection: sa.Connection,
    found: Sequence[Row],
    tokens: Sequence[int],
    worker: str,
    lease: float,
) -> list[Claim]:
    started = [
        Claim(
            task=task.id,
            study=task.study_id,
            kind=task.kind,
            trials=task.trials,
            attempt=task.attempts + 1,
            token=token,
            worker=worker,
            lease_ends=task.now + lease,
            checkpoint=task.checkpoint,
        )
        for task, token in zip(found, tokens, strict=True)
    ]
    rows = [_started(claim, lease) for claim in started]
    if rows:
        connection.execute(_START, rows if len(rows) > 1 else rows[0])
    return started


def _started(started: Claim, lease: float) -> dict[str, object]:
    return {
        "task": started.task,
        "attempt": started.attempt,
        "fence": started.token,
        "by": started.worker,
        "seconds": lease,
        "ends": started.lease_ends,
    }


def _mine(
    connection: sa.Connection, statement: sa.UpdateBase, held: Claim, **values: object
) -> Row:
    keys = {"task": held.task, "fence": held.token, "by": held.worker}
    row = connection.execute(statement, keys | values).one_or_none()
    if row is None:
        raise _lost(connection, held)
    return row


def _lost(connection: sa.Connection, held: Claim) -> Lost:
    return Lost(
        f"task {held.task} attempt {held.attempt} of {held.worker!r}: "
        f"{_what_happened(connection, held)}; result discarded"
    )


def _done(connection: sa.Connection, completed: Sequence[Completed]) -> list[Row]:
    """End attempts of one worker at tasks of trials; the tasks, in the same order.

    Raises Lost, or Invalid for results of other trials or tasks of several studies.
    """
    keys: dict[str, object] = {"by": completed[0].claim.worker}
    for number, one in enumerate(completed):
        keys |= {f"task_{number}": one.claim.task, f"fence_{number}": one.claim.token}
    found = {row.id: row for row in connection.execute(_all_done(len(completed)), keys)}
    rows = []
    for one in completed:
        row = found.pop(one.claim.task, None)
        if row is None:
            raise _lost(connection, one.claim)
        _check_results(row, one.results)
        rows.append(row)
    if len({row.study for row in rows}) > 1:
        raise Invalid(f"the tasks {[row.id for row in rows]} are of several studies")
    return rows


@lru_cache(64)
def _all_done(many: int) -> sa.UpdateBase:
    """Ends so many attempts. Pairs in one IN would not be looked up by an index of SQLite."""
    held = (
        (tasks.c.id == sa.bindparam(f"task_{n}")) & (tasks.c.token == sa.bindparam(f"fence_{n}"))
        for n in range(many)
    )
    return _ALL_DONE.where(sa.or_(*held))


def _check_results(task: Row, found: Sequence[Result]) -> None:
    own = sorted(trial.number for trial in task.trials)
    given = sorted(result.number for result in found)
    if task.kind != "trials" or own != given:
        raise Invalid(
            f"task {task.id} is of kind {task.kind!r} with the trials {own}: it takes one "
            f"result for each, not results for {given}"
        )


def _counted(found: Sequence[Result], task: Row) -> list[Result]:
    """The results, with the attempts that the ledger counted."""
    return [replace(result, attempts=task.attempts) for result in found]


def _what_happened(connection: sa.Connection, held: Claim) -> str:
    row = connection.execute(_WHO_HAS, {"task": held.task}).one_or_none()
    if row is None:
        return "the ledger has no such task"
    if row.state == "running":
        return f"its lease ended and {row.worker!r} has the task (attempt {row.attempts})"
    return f"its lease ended or was taken, and the task is {row.state}"


def _lose(connection: sa.Connection, task: Row, why: str) -> None:
    reason = f"workers lost: {task.lost + 1} leases ended before the work was done"
    following = after_lost(task.lost + 1)
    connection.execute(_LOSE, {"task": task.id, "next": following, "why": reason})
    event = Event(
        kind="lost",
        at=now(connection),
        task=task.id,
        attempt=task.attempts,
        worker=task.worker,
        text=why,
    )
    events.append(connection, task.study, event)
    ended = _Ended(
        task=task.id,
        study=task.study,
        kind=task.kind,
        trials=task.trials,
        attempts=task.attempts,
        following=following,
        reason=reason,
    )
    _settle(connection, ended)


def _settle(connection: sa.Connection, ended: _Ended) -> bool:
    """Count the task as ready again, split it, or give it up; True where it is given up."""
    if ended.following == "ready":
        results.count(connection, ended.study, running=-1, ready=1)
        return False
    if len(ended.trials) > 1:
        _split(connection, ended)
        return False
    failed = _failed(connection, ended)
    if failed is None:
        results.count(connection, ended.study, running=-1)
    else:
        results.write(connection, ended.study, [failed], running=-1)
    return True


def _failed(connection: sa.Connection, ended: _Ended) -> Result | None:
    """The result of the one trial of a task that is given up.

    None for a refit, and for a task that should not be: one without trials, or of a trial that has
    a result. It is given up like any other: the claims of all workers come by here.
    """
    if ended.kind == "refit" or not ended.trials:
        return None
    number = ended.trials[0].number
    if results.of_trials(connection, ended.study, first=number, last=number):
        return None
    return Result(number=number, state="failed", reason=ended.reason, attempts=ended.attempts)


def _split(connection: sa.Connection, ended: _Ended) -> None:
    """Give each trial of a shared fit a task of its own: one may have spoiled the others."""
    first, *others = ([trial] for trial in ended.trials)
    connection.execute(_RESTART, {"task": ended.task, "of": first})
    rows = [
        {
            "study": ended.study,
            "kind": ended.kind,
            "state": "ready",
            "family": other[0].family,
            "trials": other,
            "attempts": ended.attempts,
        }
        for other in others
    ]
    connection.execute(tasks.insert(), rows)
    results.count(connection, ended.study, running=-1, ready=len(ended.trials))


def _append(connection: sa.Connection, kind: str, held: Claim, row: Row, text: str = "") -> None:
    events.append(connection, row.study, _line(kind, held, row, text))


def _line(kind: str, held: Claim, row: Row, text: str = "") -> Event:
    return Event(
        kind=kind,
        at=row.now,
        task=held.task,
        attempt=row.attempts,
        worker=held.worker,
        text=text,
    )
