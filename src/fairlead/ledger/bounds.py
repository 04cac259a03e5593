"""What the records that clients make may hold: a record beyond it is refused before it is written.

Whoever may write to a ledger is not thereby trusted by all who read it: names and ids become names
of files and lines on a terminal, intervals are divided by, and a study's size is counted up to.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

from fairlead.errors import Conflict, Invalid
from fairlead.ledger.database import Row
from fairlead.ledger.interface import MAX_AT_ONCE
from fairlead.records import NAME, Completed, FitProgress, NewTask, Run, Schedule, Study

MAX_TRIALS = 10_000_000
MAX_PRIORITY = 1000
SHORTEST_INTERVAL = 60.0
LONGEST_INTERVAL = 366 * 86400.0
"""Seconds that a schedule's interval may be."""

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,127}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST_STEPS = (1 << 31) - 1
_LATEST = 1e11  # seconds since the epoch: the year 5138


def check_study(study: Study) -> None:
    """Refuse a study whose id, name, size or priority cannot be. Raises Invalid."""
    if not _ID.fullmatch(study.id):
        raise Invalid(f"a study's id must be letters, digits and hyphens, not {study.id[:200]!r}")
    _check_name(study.name, "a study's name")
    if not 1 <= study.size <= MAX_TRIALS:
        raise Invalid(f"study {study.id}: it must have 1 to {MAX_TRIALS} trials, not {study.size}")
    check_priority(study.priority)


def check_same(row: Row, study: Study) -> None:
    """Refuse a study that is not the one that is there under its id.

    An id follows from the table, the code and what the spec says of data and search. A study that
    somebody put under the id of another's would be taken for it.

    Raises:
        Conflict: They have another table, other code, or another data or search.
    """
    ours = (study.table, dict(study.sources), _searched(study.spec))
    if ours != (row.table_digest, dict(row.sources), _searched(row.spec)):
        raise Conflict(
            f"study {study.id!r} is in the ledger with other data, other code or another search: "
            "nothing was changed; look who made it, or search afresh, which makes a study of "
            "another id"
        )


def check_run(row: Row, run: Run) -> None:
    """Refuse a run whose spec is of other data or another search than the study that it is of.

    Raises:
        Conflict: It is.
    """
    searched = _searched(row.spec)
    if searched != row.spec and searched != _searched(run.spec):
        raise Conflict(
            f"study {row.id!r} has other data or another search than the spec of this run: nothing "
            "was opened; submit the spec, which makes a study of its own"
        )


def check_priority(priority: int) -> None:
    """Refuse a priority that nobody could outdo. Raises Invalid."""
    if not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        raise Invalid(f"a priority must be -{MAX_PRIORITY} to {MAX_PRIORITY}, not {priority}")


def check_tasks(tasks: Sequence[NewTask]) -> None:
    """Refuse tasks that nobody could do. Raises Invalid."""
    for task in tasks:
        numbers = [trial.number for trial in task.trials]
        if not numbers or (task.kind == "refit" and len(numbers) > 1):
            wanted = "one trial" if task.kind == "refit" else "at least one trial"
            raise Invalid(f"a task of kind {task.kind!r} must have {wanted}, not {len(numbers)}")
        if not 0 <= min(numbers) <= max(numbers) < MAX_TRIALS:
            raise Invalid(f"trials are numbered from 0 to {MAX_TRIALS - 1}, not {numbers[:20]}")


def check_completed(completed: Sequence[Completed]) -> None:
    """Refuse to commit the work of no worker, of several, or too much at once. Raises Invalid."""
    if len(completed) > MAX_AT_ONCE:
        raise Invalid(f"at most {MAX_AT_ONCE} tasks are committed at once, not {len(completed)}")
    workers = sorted({one.claim.worker for one in completed})
    if len(workers) != 1:
        raise Invalid(f"what is committed together must be of one worker, not of {workers}")


def check_progress(progress: FitProgress, trials: Sequence[int]) -> None:
    """Refuse what no fit of these trials can be at. Raises Invalid."""
    if progress.trial not in trials:
        raise Invalid(f"a report is of a trial of its task, {list(trials)}, not {progress.trial}")
    for name, value in vars(progress).items():
        is_whole = isinstance(value, int) and not 0 <= value <= _MOST_STEPS
        if is_whole or (isinstance(value, float) and not math.isfinite(value)):
            raise Invalid(f"a report's {name} must be 0 to {_MOST_STEPS}, or finite, not {value}")
    if progress.checkpoint is not None and not _DIGEST.fullmatch(progress.checkpoint):
        raise Invalid(f"a checkpoint is named by its SHA-256, not {progress.checkpoint[:200]!r}")


def check_schedule(schedule: Schedule) -> None:
    """Refuse a schedule whose model or whose times cannot be. Raises Invalid."""
    _check_name(schedule.model, "the name of a schedule's model")
    check_interval(schedule.every)
    check_due(schedule.first)
    check_due(schedule.due)
    if schedule.priority is not None:
        check_priority(schedule.priority)


def check_interval(every: float) -> None:
    """Refuse an interval that is too short, or so long that it is a mistake. Raises Invalid."""
    if not SHORTEST_INTERVAL <= every <= LONGEST_INTERVAL:
        raise Invalid(f"a schedule's interval must be 1 minute to 366 days, not {every:g} s")


def check_due(due: float) -> None:
    """Refuse a time that no clock shows. Raises Invalid."""
    if not 0 <= due <= _LATEST:
        raise Invalid(f"a schedule's times must be 0 to {_LATEST:g} s since 1970, not {due:g}")


def _check_name(name: str, what: str) -> None:
    if not re.fullmatch(NAME, name):
        raise Invalid(
            f"{what} must be 1 to 63 lower-case letters, digits and hyphens, no hyphen first, "
            f"not {name[:200]!r}"
        )


def _searched(spec: str) -> Any:
    """What of a spec makes the study this one: its data and its search, save `search.trials`.

    The ledger knows no more of a spec; one that is no such document is compared as it is.
    """
    try:
        says = json.loads(spec)
        search = {key: value for key, value in says["search"].items() if key != "trials"}
        return says["data"], search
    except (ValueError, TypeError, KeyError, AttributeError):
        return spec
