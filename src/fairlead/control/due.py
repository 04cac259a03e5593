"""When a schedule is due, and what is done then: rules over records, with the time as an argument.

Due times are whole intervals from the schedule's first one. A time that was missed, because nothing
ran that could begin it, is due until it is worked off, and all that were missed are one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from fairlead.records import Run, Schedule

RETRY = 300.0
"""Seconds after which a fault that may pass, such as a server that did not answer, is tried again:
a weekly schedule is not to lose a week by it."""

_DAY = 86400.0


@dataclass(frozen=True, kw_only=True)
class Begin:
    """A run is to be begun; the next due time is this one."""

    due: float


@dataclass(frozen=True, kw_only=True)
class Skip:
    """No run is begun, for a reason; the next due time is this one."""

    reason: str
    due: float


Step: TypeAlias = Begin | Skip


def next_step(schedule: Schedule, last: Run | None, now: float) -> Step | None:
    """What is to be done for a schedule at this moment; None where there is nothing.

    Args:
        schedule: As the ledger has it.
        last: The run that it began last, if it did.
        now: The ledger's clock.
    """
    if not is_due(schedule, now):
        return None
    due = following(schedule.first, schedule.every, now)
    if last is not None and last.state == "running":
        return Skip(reason=f"run {last.id} still goes on", due=due)
    return Begin(due=due)


def is_due(schedule: Schedule, now: float) -> bool:
    """Whether its time has come, and nobody is working it off."""
    return not schedule.paused and schedule.holder is None and schedule.due <= now


def following(first: float, every: float, now: float) -> float:
    """The first time after now that is a whole number of intervals from the first one."""
    if now < first:
        return first
    due = first + every * (math.floor((now - first) / every) + 1)
    return due if due > now else due + every  # where the sum was rounded


def after_fault(schedule: Schedule, now: float, *, passing: bool) -> float:
    """When a run that could not be begun is tried again.

    Args:
        schedule: As the ledger has it.
        now: The ledger's clock.
        passing: Whether the fault may pass by itself.
    """
    due = following(schedule.first, schedule.every, now)
    return min(due, now + RETRY) if passing else due


def first_at(minute: int | None, now: float) -> float:
    """The first due time of a new schedule.

    Args:
        minute: Of the day, in UTC; None for at once.
        now: The ledger's clock.
    """
    return now if minute is None else following(60.0 * minute, _DAY, now)


def unchanged(study: str, last: Run | None, champions: str) -> str | None:
    """Why there is nothing to do for the study of today's data; None where there is.

    Args:
        study: Its id.
        last: The run that the schedule began last, if it did.
        champions: Id of the study that the champion came from.
    """
    if _identity(study) == _identity(champions):
        return "the data is what the champion was trained on"
    if last is not None and last.state == "done" and _identity(last.study) == _identity(study):
        return f"the data is that of run {last.id}"
    return None


def _identity(study: str) -> str:
    """What studies that were searched again, one after the other, have in common."""
    return study.partition("-")[0]
