"""Runs, in the database.

A run is carried by the process that holds its lease. What another process writes is refused, so a
process that was stopped for too long learns that it has lost the run when it writes next.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from fairlead.errors import Lost, NotFound
from fairlead.ledger import attempts, bounds
from fairlead.ledger.database import (
    Database,
    Now,
    Row,
    check_lease,
    lease_has_ended,
    lease_is_due,
    now,
    study_lock,
)
from fairlead.ledger.schema import runs, studies
from fairlead.ledger.studies import row_of as study_row
from fairlead.ledger.wanted import wanted, wanted_by_runs
from fairlead.records import Run, RunHolder

_AFTER = runs.alias()
_NOBODY = {"holder": None, "lease": None, "lease_ends": None}
_IS_RUNNING = runs.c.state == sa.literal_column("'running'")
_ROW = sa.select(runs, studies.c.id.label("study_id"), Now().label("now")).join(
    studies, studies.c.number == runs.c.study
)
_ONE = _ROW.where(runs.c.id == sa.bindparam("id"))
_ONE_LOCKED = _ONE.with_for_update(of=runs)
_ALL = _ROW.order_by(runs.c.number.desc())
_PAGE = _ALL.limit(sa.bindparam("limit"))
_PAGE_AFTER = _PAGE.where(
    runs.c.number
    < sa.select(_AFTER.c.number).where(_AFTER.c.id == sa.bindparam("after")).scalar_subquery()
)
_OF_STUDY = _ALL.where(studies.c.id == sa.bindparam("study"))
_GOING_ON = _ROW.where(_IS_RUNNING).order_by(runs.c.number)
_SAME = _OF_STUDY.where(
    _IS_RUNNING, runs.c.spec == sa.bindparam("spec"), runs.c.deploy == sa.bindparam("deploy")
).limit(1)
_COUNT = sa.select(sa.func.count()).where(runs.c.study == sa.bindparam("of"))
_CHANGE = runs.update().where(runs.c.id == sa.bindparam("which"))
_TAKE = _CHANGE.values(
    holder=sa.bindparam("by"), lease=sa.bindparam("seconds"), lease_ends=sa.bindparam("ends")
)
_RELEASE = _CHANGE.where(runs.c.holder == sa.bindparam("by")).values(**_NOBODY)
_GO_ON = _CHANGE.values(
    stage=sa.bindparam("to"),
    version=sa.bindparam("made"),
    verdict=sa.bindparam("said"),
    reason=sa.bindparam("why"),
    since=sa.bindparam("at"),
)
_END = _GO_ON.values(state=sa.bindparam("as"), **_NOBODY)


class SqlRuns:
    """Runs of specs, and who carries them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, run: Run) -> Run:
        """Append a run, or find the one of this study and spec that goes on."""
        return self._database.write(
            lambda connection: open_run(connection, run), lock=study_lock(run.study)
        )

    def get(self, run: str) -> Run:
        """The run with this id."""
        return self._database.read(lambda connection: _run(_row(connection, run)))

    def all(self, study: str | None = None) -> Sequence[Run]:
        """The runs (of this study), the newest first."""
        query, of = (_ALL, {}) if study is None else (_OF_STUDY, {"study": study})
        return self._database.read(
            lambda connection: [_run(row) for row in connection.execute(query, of)]
        )

    def page(self, *, after: str | None, limit: int) -> Sequence[Run]:
        """So many runs, the newest first, from the one after the run with this id."""
        query = _PAGE if after is None else _PAGE_AFTER
        asked = {"limit": limit} | ({} if after is None else {"after": after})
        return self._database.read(
            lambda connection: [_run(row) for row in connection.execute(query, asked)]
        )

    def orphans(self) -> Sequence[Run]:
        """Those that run and that nobody carries, the oldest first."""
        rows = self._database.read(lambda connection: connection.execute(_GOING_ON).all())
        return [_run(row) for row in rows if _is_free(row)]

    def take(self, run: str, holder: str, *, lease: float) -> Run:
        """Hold the run from now on, unless another does, or it has ended."""
        check_lease(lease)
        row = self._database.read(lambda connection: _row(connection, run))
        if _is_to_take(row, holder, lease):
            # After a power cut no process is left that a lease could matter to.
            row = self._database.write(
                lambda connection: _take(connection, run, holder, lease), durable=False
            )
        return _run(row)

    def release(self, run: str, holder: str) -> None:
        """Let another process carry it."""
        self._database.write(
            lambda connection: connection.execute(_RELEASE, {"which": run, "by": holder}),
            durable=False,
        )

    def cancel(self, run: str, reason: str) -> Run:
        """End the run; trials of its study that no other run wants are withdrawn."""
        study = self.get(run).study
        return self._database.write(
            lambda connection: _cancel(connection, run, reason), lock=study_lock(study)
        )

    def advance(self, run: Run) -> Run:
        """Write how far the run is; one that ends is held by nobody any more."""
        # A stage alone may be lost in a power cut: it is found out again.
        durable = run.state != "running" or run.version is not None
        return self._database.write(lambda connection: _advance(connection, run), durable=durable)


def _row(connection: sa.Connection, run: str, *, locked: bool = False) -> Row:
    query = _ONE_LOCKED if locked else _ONE
    row = connection.execute(query, {"id": run}).one_or_none()
    if row is None:
        raise NotFound(f"there is no run {run!r}")
    return row


def open_run(connection: sa.Connection, run: Run) -> Run:
    """Append the run, or find the one that goes on; needs the lock of its study."""
    same = {"study": run.study, "spec": run.spec, "deploy": run.deploy}
    known = connection.execute(_SAME, same).one_or_none()
    if known is not None:
        return _run(known)
    study = study_row(connection, run.study)
    bounds.check_run(study, run)
    count = connection.execute(_COUNT, {"of": study.number}).scalar_one()
    at = now(connection)
    row = {
        "id": f"{run.study}.{count + 1}",
        "study": study.number,
        "spec": run.spec,
        "deploy": run.deploy,
        "stage": run.stage,
        "state": "running",
        "reason": "",
        "began": at,
        "since": at,
    }
    connection.execute(runs.insert(), row)
    if study.state == "searching":  # a run that was cancelled meanwhile may have withdrawn them
        attempts.restore(connection, study, wanted(connection, study))
    return _run(_row(connection, str(row["id"])))


def _is_to_take(row: Row, holder: str, lease: float) -> bool:
    if row.state != "running":
        return False
    if row.holder == holder:
        return lease_is_due(row.now, lease=lease, ends=row.lease_ends)
    return _is_free(row)


def _is_free(row: Row) -> bool:
    return row.holder is None or lease_has_ended(row.now, lease=row.lease, ends=row.lease_ends)


def _take(connection: sa.Connection, run: str, holder: str, lease: float) -> Row:
    """Another process may have been here since the last look: look again, then write."""
    row = _row(connection, run, locked=True)
    if _is_to_take(row, holder, lease):
        held = {"which": run, "by": holder, "seconds": lease, "ends": row.now + lease}
        connection.execute(_TAKE, held)
    return _row(connection, run)


def _cancel(connection: sa.Connection, run: str, reason: str) -> Run:
    row = _row(connection, run)
    if row.state == "running":
        study = study_row(connection, row.study_id)
        _withdraw(connection, study, wanted_by_runs(connection, study, without=run))
    row = _row(connection, run, locked=True)
    if row.state == "running":
        ended = {"as": "cancelled", "why": reason, "at": row.now, "to": row.stage}
        connection.execute(_END, ended | {"which": run, "made": row.version, "said": row.verdict})
    return _run(_row(connection, run))


def _withdraw(connection: sa.Connection, study: Row, left: int) -> None:
    """Withdraw all but the tasks of so many trials; what has begun of others is not broken off."""
    attempts.lock_open(connection, study.number)  # rows of tasks before those of their study
    if left:
        attempts.withdraw_beyond(connection, study.number, left)
    else:
        attempts.withdraw_ready(connection, study.number, ("trials", "refit"))
        attempts.withdraw_running(connection, study.number, ("trials", "refit"))


def held_row(connection: sa.Connection, run: str, holder: str | None) -> Row:
    """The row of a run that goes on and has this holder, locked until the transaction ends.

    Raises:
        Lost: It has ended, or another process carries it.
        NotFound: There is no such run.
    """
    row = _row(connection, run, locked=True)
    if row.state != "running":
        raise Lost(f"run {run!r} is {row.state} by now")
    if row.holder != holder:
        by = "nobody" if row.holder is None else repr(row.holder)
        raise Lost(f"run {run!r} is carried by {by} by now, not {holder!r}")
    return row


def refuse_lost(connection: sa.Connection, carrier: RunHolder | None) -> None:
    """Refuse to write for a run that its carrier has lost; without one there is none to lose.

    Raises:
        Lost: As `held_row`.
    """
    if carrier is not None:
        held_row(connection, carrier.run, carrier.holder)


def _advance(connection: sa.Connection, run: Run) -> Run:
    row = held_row(connection, run.id, run.holder)
    change = {
        "which": run.id,
        "to": run.stage,
        "made": run.version,
        "said": run.verdict,
        "why": run.reason,
        "at": row.since if row.stage == run.stage else row.now,
    }
    if run.state == "running":
        connection.execute(_GO_ON, change)
    else:
        connection.execute(_END, change | {"as": run.state})
    return _run(_row(connection, run.id))


def _run(row: Row) -> Run:
    return Run(
        id=row.id,
        study=row.study_id,
        spec=row.spec,
        deploy=row.deploy,
        stage=row.stage,
        state=row.state,
        version=row.version,
        verdict=row.verdict,
        reason=row.reason,
        began=row.began,
        since=row.since,
        holder=row.holder,
    )
