"""Schedules, in the database.

Whoever works off a due time holds the schedule under a lease, and ends it by a write that only the
holder may do: a process that was stopped for too long can neither begin a second run nor write over
what another has noted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import sqlalchemy as sa

from fairlead.errors import Lost, NotFound
from fairlead.ledger.bounds import check_due, check_schedule
from fairlead.ledger.database import Database, Now, Row, check_lease, lease_has_ended, study_lock
from fairlead.ledger.runs import open_run
from fairlead.ledger.schema import schedules
from fairlead.records import Run, Schedule, ScheduleOutcome

_ALL = sa.select(schedules, Now().label("now")).order_by(schedules.c.model)
_ONE = _ALL.where(schedules.c.model == sa.bindparam("of"))
_ONE_LOCKED = _ONE.with_for_update(of=schedules)
_NOW = sa.select(Now())
_CHANGE = schedules.update().where(schedules.c.model == sa.bindparam("of"))
_HOLD = _CHANGE.values(
    holder=sa.bindparam("as"), lease=sa.bindparam("seconds"), lease_ends=sa.bindparam("ends")
)
_NOBODY = {"holder": None, "lease": None, "lease_ends": None}
_RELEASE = _CHANGE.where(schedules.c.holder == sa.bindparam("as")).values(**_NOBODY)
_REMOVE = schedules.delete().where(schedules.c.model == sa.bindparam("of"))
_AS_ASKED = ("every", "source", "folder", "deploy", "priority", "by", "first", "due")


def schedule_lock(model: str) -> str:
    """The lock of the schedule of a model, which may have none yet."""
    return f"schedule:{model}"


class SqlSchedules:
    """When champions are trained again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, schedule: Schedule) -> Schedule:
        """Make the schedule of its model, or change the one that there is."""
        check_schedule(schedule)
        return self._database.write(
            lambda connection: _put(connection, schedule), lock=schedule_lock(schedule.model)
        )

    def get(self, model: str) -> Schedule:
        """The schedule of this model."""
        return self._database.read(lambda connection: _schedule(_row(connection, model)))

    def all(self) -> Sequence[Schedule]:
        """Every schedule, by model."""
        return self._database.read(
            lambda connection: [_schedule(row) for row in connection.execute(_ALL)]
        )

    def remove(self, model: str) -> None:
        """Forget it."""
        self._database.write(lambda connection: _remove(connection, model))

    def pause(self, model: str) -> Schedule:
        """Let no due time come."""
        return self._database.write(lambda connection: _pause(connection, model, {"paused": True}))

    def resume(self, model: str, *, due: float) -> Schedule:
        """Let due times come again."""
        check_due(due)
        return self._database.write(
            lambda connection: _pause(connection, model, {"paused": False, "due": due})
        )

    def take(self, schedule: Schedule, holder: str, *, lease: float) -> bool:
        """Hold the schedule for the due time that it names."""
        check_lease(lease)
        # After a power cut no process is left that a lease could matter to.
        return self._database.write(
            lambda connection: _take(connection, schedule, holder, lease), durable=False
        )

    def release(self, model: str, holder: str) -> None:
        """Let another process work off the due time."""
        self._database.write(
            lambda connection: connection.execute(_RELEASE, {"of": model, "as": holder}),
            durable=False,
        )

    def begin(self, schedule: Schedule, run: Run, *, due: float) -> Run:
        """Open the run, note that it began, and set the next due time."""
        return self._database.write(
            lambda connection: _begin(connection, schedule, run, due), lock=study_lock(run.study)
        )

    def note(
        self, schedule: Schedule, *, outcome: ScheduleOutcome, reason: str, due: float
    ) -> None:
        """Note why no run began, and set the next due time."""
        said = {"outcome": outcome, "reason": reason, "due": due}
        self._database.write(lambda connection: _end(connection, schedule, said))


def _find(connection: sa.Connection, model: str, *, locked: bool = False) -> Row | None:
    query = _ONE_LOCKED if locked else _ONE
    return connection.execute(query, {"of": model}).one_or_none()


def _row(connection: sa.Connection, model: str, *, locked: bool = False) -> Row:
    row = _find(connection, model, locked=locked)
    if row is None:
        raise NotFound(f"model {model!r} has no schedule")
    return row


def _put(connection: sa.Connection, schedule: Schedule) -> Schedule:
    given = asdict(schedule)
    asked = {name: given[name] for name in _AS_ASKED} | {"paused": False, **_NOBODY}
    if _find(connection, schedule.model, locked=True) is None:
        created = connection.execute(_NOW).scalar_one()
        new = {"model": schedule.model, "created": created, "reason": "", **asked}
        connection.execute(schedules.insert(), new)
    else:
        connection.execute(_CHANGE.values(**asked), {"of": schedule.model})
    return _schedule(_row(connection, schedule.model))


def _remove(connection: sa.Connection, model: str) -> None:
    _row(connection, model, locked=True)
    connection.execute(_REMOVE, {"of": model})


def _pause(connection: sa.Connection, model: str, change: dict[str, object]) -> Schedule:
    row = _row(connection, model, locked=True)
    if row.paused != change["paused"]:
        connection.execute(_CHANGE.values(**change), {"of": model})
    return _schedule(_row(connection, model))


def _take(connection: sa.Connection, schedule: Schedule, holder: str, lease: float) -> bool:
    row = _find(connection, schedule.model, locked=True)
    if row is None or row.due != schedule.due or _holder(row) not in {None, holder}:
        return False
    if row.paused and row.holder != holder:
        return False
    held = {"of": schedule.model, "as": holder, "seconds": lease, "ends": row.now + lease}
    connection.execute(_HOLD, held)
    return True


def _begin(connection: sa.Connection, schedule: Schedule, run: Run, due: float) -> Run:
    opened = open_run(connection, run)
    said = {"run": opened.id, "outcome": "began", "reason": "", "due": due}
    _end(connection, schedule, said)
    return opened


def _end(connection: sa.Connection, schedule: Schedule, said: dict[str, object]) -> None:
    row = _find(connection, schedule.model, locked=True)
    if row is None or row.holder != schedule.holder or row.due != schedule.due:
        raise Lost(f"the schedule of {schedule.model!r} was changed, or is held by another process")
    connection.execute(_CHANGE.values(noted=row.now, **said, **_NOBODY), {"of": schedule.model})


def _holder(row: Row) -> str | None:
    if row.holder is None or lease_has_ended(row.now, lease=row.lease, ends=row.lease_ends):
        return None
    return str(row.holder)


def _schedule(row: Row) -> Schedule:
    return Schedule(
        model=row.model,
        every=row.every,
        source=row.source,
        folder=row.folder,
        deploy=row.deploy,
        priority=row.priority,
        by=row.by,
        paused=row.paused,
        first=row.first,
        due=row.due,
        created=row.created,
        run=row.run,
        outcome=row.outcome,
        reason=row.reason,
        noted=row.noted,
        holder=_holder(row),
    )
