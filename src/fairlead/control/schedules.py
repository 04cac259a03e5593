"""Schedules, as they are asked for: a model's champion is trained again every so often.

A controller begins what is due (scheduler.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fairlead.control import due
from fairlead.control.retraining import Retraining, champions_study, require_file
from fairlead.data.catalog import is_file
from fairlead.errors import Invalid, NotFound
from fairlead.formatting import did_you_mean
from fairlead.ledger.bounds import check_interval
from fairlead.ledger.interface import Ledger
from fairlead.records import Run, Schedule
from fairlead.rollout.record import author
from fairlead.spec.document import parse_canonical
from fairlead.stores import Stores


@dataclass(frozen=True, kw_only=True)
class MadeSchedule:
    """A schedule that was made or changed, and what a person should know of its data, if anything.

    That is where only some machines may have it.
    """

    schedule: Schedule
    remark: str | None


@dataclass(frozen=True, kw_only=True)
class ScheduleRow:
    """A schedule, and the run that it began last as it is now."""

    schedule: Schedule
    run: Run | None


def put(
    stores: Stores,
    asked: Retraining,
    *,
    every: float,
    minute: int | None,
    through_server: bool = False,
) -> MadeSchedule:
    """Make the schedule of a model, or change the one that it has.

    Args:
        stores: Where it is kept.
        asked: What is trained again, and how.
        every: Seconds between two due times.
        minute: Of the day (UTC) at which the first is; None for at once.
        through_server: Whether the ledger is behind a server, whose files are not ours to name.

    Raises:
        Invalid: The model has no champion, its data is not there, or the interval cannot be.
    """
    check_interval(every)
    source = source_of(stores, asked)
    if through_server:
        refuse_path(source)
    require_file(source, asked.base)
    first = due.first_at(minute, stores.ledger.now())
    made = stores.ledger.schedules.put(
        Schedule(
            model=asked.model,
            every=every,
            source=asked.source,
            folder=str(asked.base),
            deploy=asked.deploy,
            priority=asked.priority,
            by=author(),
            first=first,
            due=first,
        )
    )
    return MadeSchedule(schedule=made, remark=_remark(source, asked.base))


def source_of(stores: Stores, asked: Retraining) -> str:
    """Where the data is. Raises Invalid where the model has no champion."""
    study = champions_study(stores, asked.model)
    return asked.source or parse_canonical(study.spec).data.source


def refuse_path(source: str) -> None:
    """Refuse data that a server would have to read from its own disk. Raises Invalid."""
    if is_file(source):
        raise Invalid(
            f"data.source: {source!r} is a path: a schedule that is made through a server reads a "
            "data set of the catalog or an https:// URL; make it where a controller runs, or name "
            "a URL by --data"
        )


def _remark(source: str, base: Path) -> str | None:
    if not is_file(source):
        return None
    return (
        f"controllers on other machines read {str(base / Path(source).expanduser())!r} there: it "
        "must be on a disk that they share, or be a URL"
    )


def overview(ledger: Ledger, *, after: str = "", limit: int | None = None) -> Sequence[ScheduleRow]:
    """The schedules of models whose names come after this one, by model; so many, or all."""
    asked = [each for each in ledger.schedules.all() if each.model > after][:limit]
    return [
        ScheduleRow(
            schedule=schedule,
            run=None if schedule.run is None else ledger.runs.get(schedule.run),
        )
        for schedule in asked
    ]


def remove(ledger: Ledger, model: str) -> None:
    """Forget a schedule; what it began goes on. Raises NotFound."""
    _require(ledger, model)
    ledger.schedules.remove(model)


def pause(ledger: Ledger, model: str) -> Schedule:
    """Begin nothing until it is resumed. Raises NotFound."""
    _require(ledger, model)
    return ledger.schedules.pause(model)


def resume(ledger: Ledger, model: str) -> Schedule:
    """Begin runs again, from the next due time on; those in between are left out.

    Raises:
        NotFound: The model has no schedule.
    """
    schedule = _require(ledger, model)
    following = due.following(schedule.first, schedule.every, ledger.now())
    return ledger.schedules.resume(model, due=following)


def _require(ledger: Ledger, model: str) -> Schedule:
    try:
        return ledger.schedules.get(model)
    except NotFound as error:
        known = [schedule.model for schedule in ledger.schedules.all()]
        raise NotFound(f"{error}{did_you_mean(model, known)}") from None
