"""What a worker does next with the attempt it is executing.

Pure functions of records and the clock: the loop (loop.py) observes the child, asks `next_step`,
and carries the step out. An attempt ends by a result that is committed, a fault that is reported,
a release, or as lost; until then the worker waits, extends its lease and reports how its fit goes.

What the child tells of a fit is reported at most every REPORT_EVERY seconds, whatever its rate, and
once more before the attempt ends: the last of it, with the last checkpoint. A ledger that is away
delays reports and ends no fit.

Short tasks are claimed and committed several at a time (a batch), since a transaction takes longer
than they do. Each is an attempt of its own all the same. One that takes long holds none of the
others: they are committed or given back while it goes on alone.
"""

from __future__ import annotations

import math
import signal
from dataclasses import dataclass
from typing import TypeAlias

from fairlead.ledger.interface import MAX_AT_ONCE
from fairlead.records import Digest, Limits
from fairlead.worker.messages import (
    Answer,
    Began,
    FamiliesChecked,
    FitProgressed,
    Raised,
    Refitted,
    StudyReady,
    TrialsScored,
)

MEMORY_POLL = 0.1
"""Seconds between two readings of the child's memory, where it is limited."""

STOPPED = "the worker was told to stop"
"""The reason for which a stopping worker releases its task."""

TAKES_LONG = "another task of its worker takes long"
"""The reason for which the rest of a batch is released, where it waits for one of it."""

KILLED = "the process that does another task of its worker was killed"
"""The same where it would be counted as lost with that one."""

REPORT_EVERY = 2.0
"""Seconds between two reports of a fit."""

_BATCH = 0.05
"""Seconds that the tasks are to take which are claimed together."""
_BATCH_MOST = 0.2
"""Seconds after which those of them that are left are given back."""

START = 300.0
"""Seconds that a child may take to load its libraries and the data."""


@dataclass(frozen=True, kw_only=True)
class KeptCheckpoint:
    """The checkpoint that the ledger has of a task.

    Args:
        digest: Of its artefact.
        seen: When that was known, in seconds since 1970: what was stored again since is another's.
    """

    digest: Digest
    seen: float


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """An attempt under way; times are monotonic seconds."""

    token: int  # the fencing token
    sent: float  # when the request was sent to the child
    began: float | None = None  # when the child had loaded libraries and data
    extended: float  # when the lease was extended last
    lease: float  # seconds
    limits: Limits
    parts: float | None = None  # when it parts from the others of its batch; None if it is alone
    told: FitProgressed | None = None  # of its fit, and not reported yet
    reported: float = -math.inf  # when that was tried last
    kept: KeptCheckpoint | None = None  # what another attempt would go on from


@dataclass(frozen=True, kw_only=True)
class Observation:
    """The state of the child, and of requests to stop, at one moment."""

    now: float
    answer: Answer | None = None
    closed: bool = False  # the child runs, and has closed its end
    exit_status: int | None = None  # of the child, negative for a signal; None while it runs
    last_line: str = ""  # the last line that an ended child printed
    memory: int | None = None  # bytes the child holds, where it was read
    stop_after_task: bool = False  # asked to stop after this task
    stop_now: bool = False  # asked to stop at once


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Observe again after so many seconds, or earlier when something happens."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class ExtendLease:
    """Extend the lease."""


@dataclass(frozen=True, kw_only=True)
class ReportFit:
    """Report how the fit goes, if the ledger answers; it is tried again later where it does not."""


@dataclass(frozen=True, kw_only=True)
class PartFromBatch:
    """Commit the tasks of the batch that are done, and release those that have not begun."""


@dataclass(frozen=True, kw_only=True)
class MarkBegun:
    """The task's time limit counts from now."""


@dataclass(frozen=True, kw_only=True)
class CommitResult:
    """Commit the result: that of trials with the batch, once all of it is done."""

    answer: TrialsScored | Refitted


@dataclass(frozen=True, kw_only=True)
class ReportFault:
    """Report the attempt as faulty.

    `replace` if its child cannot be used again; `final` if another attempt would fail for the same.
    """

    reason: str
    replace: bool
    final: bool = False


@dataclass(frozen=True, kw_only=True)
class ReportLost:
    """Report the attempt as lost: its child was killed from outside, no fault of the task."""


@dataclass(frozen=True, kw_only=True)
class GiveBack:
    """Release the task and wait a while: what it needs is away, as another time it may not be."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Release:
    """Release the task unfinished."""

    reason: str


Step: TypeAlias = (
    Wait
    | ExtendLease
    | ReportFit
    | PartFromBatch
    | MarkBegun
    | CommitResult
    | ReportFault
    | ReportLost
    | GiveBack
    | Release
)


@dataclass(frozen=True, kw_only=True)
class Proceed:
    """Claim now; whatever kept the child from being ready is reported by the task that needs it."""

    ready: bool = False
    replace: bool = False


def tasks_at_once(seconds: float, tasks: int) -> int:
    """How many tasks to claim together, after so many took so long."""
    return max(1, min(MAX_AT_ONCE, int(_BATCH * tasks / max(seconds, 1e-9))))


def parts_at(claimed: float, lease: float) -> float:
    """When the tasks that were claimed together are to be done; before their leases are due."""
    return claimed + min(_BATCH_MOST, lease / 3)


def until_ready(sent: float, observed: Observation) -> Wait | Proceed:
    """The next step while a child opens a study, as asked at `sent`, before the first claim."""
    if observed.answer is not None:
        ready, raised = isinstance(observed.answer, StudyReady), isinstance(observed.answer, Raised)
        return Proceed(ready=ready, replace=not ready and not raised)
    if observed.exit_status is not None or observed.closed or observed.stop_after_task:
        return Proceed(replace=True)
    left = sent + START - observed.now
    return Wait(seconds=left) if left > 0 else Proceed(replace=True)


def next_step(attempt: Attempt, observed: Observation) -> Step:
    """The next step for the attempt."""
    if observed.answer is not None:
        return _answered(attempt, observed.answer)
    if observed.exit_status is not None:
        return _exited(observed.exit_status, observed.last_line)
    if observed.stop_now:
        return Release(reason=STOPPED)
    if observed.stop_after_task and attempt.kept is not None:  # it costs what came after that
        return Release(reason=f"{STOPPED}; the fit goes on from its checkpoint")
    if observed.closed:
        return ReportFault(reason="closed the connection to its worker", replace=True)
    return _over_limit(attempt, observed) or _in_time(attempt, observed)


def _answered(attempt: Attempt, answer: Answer) -> Step:
    if isinstance(answer, StudyReady | FamiliesChecked) or answer.token != attempt.token:
        return ReportFault(reason="answered another task than the one it was given", replace=True)
    match answer:
        case Raised(reason=reason, transient=True):
            return GiveBack(reason=reason)
        case Raised(reason=reason, final=final):
            return ReportFault(reason=reason, replace=False, final=final)
        case Began():
            return MarkBegun()
        case TrialsScored() | Refitted():
            return CommitResult(answer=answer)


def _exited(status: int, last_line: str) -> Step:
    if -status in {signal.SIGKILL, signal.SIGTERM}:
        return ReportLost()
    printed = f"; it last printed: {last_line}" if last_line else ""
    if status < 0:
        return ReportFault(reason=f"killed by {_signal(-status)}{printed}", replace=True)
    return ReportFault(reason=f"ended its process with status {status}{printed}", replace=True)


def _signal(number: int) -> str:
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


def _over_limit(attempt: Attempt, observed: Observation) -> Step | None:
    limits = attempt.limits
    if observed.now > _deadline(attempt):
        if attempt.began is None:
            return ReportFault(reason=f"did not begin within {START:g} s", replace=True)
        return ReportFault(reason=f"over its time limit of {limits.seconds:g} s", replace=True)
    if limits.memory is not None and (observed.memory or 0) > limits.memory:
        mib = limits.memory / (1 << 20)
        return ReportFault(reason=f"over its memory limit of {mib:g} MiB", replace=True)
    return None


def _deadline(attempt: Attempt) -> float:
    """When the attempt has taken too long: loading has a limit, and the task has its own."""
    if attempt.began is None:
        return attempt.sent + START
    return attempt.began + (attempt.limits.seconds or math.inf)


def _in_time(attempt: Attempt, observed: Observation) -> Step:
    parts, due = attempt.parts or math.inf, attempt.extended + attempt.lease / 3
    report = math.inf if attempt.told is None else attempt.reported + REPORT_EVERY
    if observed.now >= parts:
        return PartFromBatch()
    if observed.now >= due:
        return ExtendLease()
    if observed.now >= report:
        return ReportFit()
    wait = min(parts, due, report, _deadline(attempt) + 0.01) - observed.now
    if attempt.limits.memory is not None:
        wait = min(wait, MEMORY_POLL)
    return Wait(seconds=max(wait, 0.0))
