"""Withdrawal: tasks that a study no longer wants, and how they come back.

Belongs here: tasks of kind 'trials' leaving and entering the state 'withdrawn'. Does not: when.

Every function takes the connection of a write transaction, except `any_withdrawn`.
"""

from __future__ import annotations

import sqlalchemy as sa

from fairlead.ledger import counters, events
from fairlead.ledger.codecs import trials_from_json
from fairlead.ledger.database import Row, now
from fairlead.ledger.schema import tasks
from fairlead.records import Event

_OF_STUDY = (tasks.c.study == sa.bindparam("of")) & (tasks.c.kind == "trials")
_READY = tasks.c.state == sa.literal_column("'ready'")
_RUNNING = tasks.c.state == sa.literal_column("'running'")
_WITHDRAWN = tasks.c.state == sa.literal_column("'withdrawn'")
_WITHDRAW = tasks.update().values(
    state="withdrawn", token=None, worker=None, lease=None, lease_ends=None
)
_WITHDRAW_READY = _WITHDRAW.where(_OF_STUDY, _READY)
_WITHDRAW_RUNNING = _WITHDRAW.where(_OF_STUDY, _RUNNING)
_ATTEMPTS = sa.select(tasks.c.id, tasks.c.attempts, tasks.c.worker).where(_OF_STUDY, _RUNNING)
_ANY = sa.select(sa.exists().where(_OF_STUDY, _WITHDRAWN))
_ALL = sa.select(tasks.c.id, tasks.c.trials).where(_OF_STUDY, _WITHDRAWN)
_RESTORE = tasks.update().where(tasks.c.id == sa.bindparam("task")).values(state="ready")


def withdraw_ready(connection: sa.Connection, study: int) -> None:
    """Let no ready task start any more."""
    gone = connection.execute(_WITHDRAW_READY, {"of": study}).rowcount
    counters.change(connection, study, ready=-gone)


def withdraw_running(connection: sa.Connection, study: int) -> None:
    """Take running tasks from their workers: what they commit comes too late."""
    at = now(connection)
    attempts = connection.execute(_ATTEMPTS, {"of": study}).all()
    for task in attempts:
        event = Event(
            kind="withdrawn", at=at, task=task.id, attempt=task.attempts, worker=task.worker
        )
        events.append(connection, study, event)
    connection.execute(_WITHDRAW_RUNNING, {"of": study})
    counters.change(connection, study, running=-len(attempts))


def any_withdrawn(connection: sa.Connection, study: int) -> bool:
    """Whether there is anything to restore."""
    return bool(connection.execute(_ANY, {"of": study}).scalar_one())


def restore(connection: sa.Connection, study: Row) -> None:
    """Make the tasks within the size of the study ready again."""
    back = [
        {"task": task.id}
        for task in connection.execute(_ALL, {"of": study.number}).all()
        if all(trial.number < study.size for trial in trials_from_json(task.trials))
    ]
    if back:
        connection.execute(_RESTORE, back)
        counters.change(connection, study.number, ready=len(back))
