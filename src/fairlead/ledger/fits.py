"""How fits go: what attempts tell while they make one in steps.

A report is written under the fencing token of its attempt, which also makes its checkpoint the
task's last one, from which another attempt goes on.

A fit of a day tells as much as 43,000 reports, and a curve of it needs no more points than one of
an hour. So the reports of a task are thinned out: they are numbered from 1, and once there are more
than KEPT_FIT_REPORTS times the stride (1, 2, 4, ...), the stride doubles, and only those stay whose
number it divides; the last one always stays. The curve keeps its whole length, which it would not
if the newest alone were kept, and what to delete follows from one number.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import sqlalchemy as sa

from fairlead.ledger import attempts, bounds
from fairlead.ledger.database import Database, Row
from fairlead.ledger.interface import KEPT_FIT_REPORTS
from fairlead.ledger.schema import fit_progress, studies, tasks
from fairlead.records import Claim, FitProgress, FitReport

_MOST_NOTED = 1000
"""Characters of a line that an attempt notes."""

_LAST = (
    sa.select(fit_progress.c.number, fit_progress.c.checkpointed)
    .where(fit_progress.c.task == sa.bindparam("of"))
    .order_by(fit_progress.c.number.desc())
    .limit(1)
)
_APPEND = fit_progress.insert()
_THIN = fit_progress.delete().where(
    fit_progress.c.task == sa.bindparam("of"),
    fit_progress.c.number >= sa.bindparam("first"),
    fit_progress.c.number < sa.bindparam("last"),
    fit_progress.c.number % sa.bindparam("stride", type_=sa.Integer) != 0,
)
_REPORTS = (
    sa.select(fit_progress)
    .join(studies, studies.c.number == fit_progress.c.study)
    .where(studies.c.id == sa.bindparam("id"), fit_progress.c.id > sa.bindparam("after"))
    .order_by(fit_progress.c.id)
    .limit(sa.bindparam("most"))
)
_REPORTS_OF_TRIAL = _REPORTS.where(fit_progress.c.trial == sa.bindparam("trial"))
_NEWEST = fit_progress.alias()
_RUNNING = (
    sa.select(fit_progress)
    .join(tasks, tasks.c.id == fit_progress.c.task)
    .where(
        tasks.c.state == sa.literal_column("'running'"),  # a literal: see attempts.py
        fit_progress.c.attempt == tasks.c.attempts,
        fit_progress.c.number
        == sa.select(sa.func.max(_NEWEST.c.number))
        .where(_NEWEST.c.task == tasks.c.id)
        .scalar_subquery(),
    )
    .order_by(tasks.c.id)
)
_RUNNING_OF_STUDY = _RUNNING.join(studies, studies.c.number == tasks.c.study).where(
    studies.c.id == sa.bindparam("id")
)


class SqlFits:
    """How fits go that are made in steps."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def report(self, claim: Claim, progress: FitProgress) -> None:
        """Append what the attempt tells; a checkpoint is from then on the task's last one."""
        # After a power cut a fit goes on from an older checkpoint, or starts anew.
        self._database.write(partial(_report, held=claim, progress=progress), durable=False)

    def note(self, claim: Claim, text: str) -> None:
        """Put a line of the attempt into the history of its study."""
        self._database.write(
            lambda connection: attempts.note(connection, claim, text[:_MOST_NOTED]), durable=False
        )

    def reports(
        self, study: str, *, trial: int | None = None, after: int = 0, limit: int = 1000
    ) -> Sequence[FitReport]:
        """So many reports of a study (of this trial), the oldest first."""
        asked = {"id": study, "after": after, "most": limit}
        if trial is None:
            return self._database.read(lambda connection: _found(connection, _REPORTS, asked))
        of_trial = {**asked, "trial": trial}
        return self._database.read(
            lambda connection: _found(connection, _REPORTS_OF_TRIAL, of_trial)
        )

    def running(self, study: str | None = None) -> Sequence[FitReport]:
        """The last report of each attempt that runs and has told any, by task."""
        if study is None:
            return self._database.read(lambda connection: _found(connection, _RUNNING, {}))
        return self._database.read(
            lambda connection: _found(connection, _RUNNING_OF_STUDY, {"id": study})
        )


def stride(number: int) -> int:
    """The stride once so many reports were told."""
    found = 1
    while number > KEPT_FIT_REPORTS * found:
        found *= 2
    return found


def _report(connection: sa.Connection, held: Claim, progress: FitProgress) -> None:
    task = attempts.report(connection, held, progress.checkpoint)
    bounds.check_progress(progress, [trial.number for trial in task.trials])
    last = connection.execute(_LAST, {"of": held.task}).one_or_none()
    number = 1 if last is None else last.number + 1
    before = None if last is None else last.checkpointed
    row = {
        **vars(progress),
        "study": task.study,
        "task": held.task,
        "number": number,
        "attempt": task.attempts,
        "at": task.now,
        "checkpointed": before if progress.checkpoint is None else task.now,
    }
    connection.execute(_APPEND, row)
    _thin(connection, held.task, number)


def _thin(connection: sa.Connection, task: int, number: int) -> None:
    now, before = stride(number), stride(number - 1)
    if now == 1:
        return
    first = number - 1 if now == before else 1
    connection.execute(_THIN, {"of": task, "first": first, "last": number, "stride": now})


def _found(
    connection: sa.Connection, asked: sa.Select[tuple[object, ...]], values: dict[str, object]
) -> Sequence[FitReport]:
    return [_fit_report(row) for row in connection.execute(asked, values)]


def _fit_report(row: Row) -> FitReport:
    return FitReport(
        id=row.id,
        task=row.task,
        attempt=row.attempt,
        at=row.at,
        checkpointed=row.checkpointed,
        progress=FitProgress(
            trial=row.trial,
            fold=row.fold,
            step=row.step,
            steps=row.steps,
            epoch=row.epoch,
            loss=row.loss,
            accuracy=row.accuracy,
            rows_per_second=row.rows_per_second,
            workers=row.workers,
            checkpoint=row.checkpoint,
        ),
    )
