"""What a worker does next with the attempt it has in hand.

Belongs here: the rules, as functions of records and the clock. Does not: processes, pipes,
signals, the ledger.
"""

from __future__ import annotations

import math
import signal
from dataclasses import dataclass
from typing import TypeAlias

from fairlead.records import Limits
from fairlead.worker.job import Answer, Began, Raised, Ready, Refitted, Scored

MEMORY_LOOK = 0.1
"""Seconds between two looks at the child's memory, where it is limited."""

TOLD = "the worker was told to stop"
"""Why a task goes back that nothing was wrong with."""

START = 300.0
"""Seconds that a child may take to load its libraries and the data."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """An attempt under way; times are monotonic seconds."""

    token: int  # the fencing token
    sent: float  # when the child was told
    began: float | None = None  # when the child began, its libraries and data loaded
    heard: float  # when the lease was extended last
    lease: float  # seconds
    limits: Limits


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the worker sees at one moment."""

    now: float
    answer: Answer | None = None
    closed: bool = False  # the child lives, and has closed its end
    exit_status: int | None = None  # of the child, negative for a signal; None while it lives
    last_words: str = ""  # the end of what a dead child printed
    memory: int | None = None  # bytes the child holds, where it was looked at
    leaving: bool = False  # told to stop after this task
    stop: bool = False  # told to stop at once


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Look again after so many seconds, or when something happens."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class Extend:
    """Extend the lease."""


@dataclass(frozen=True, kw_only=True)
class Begin:
    """The task's time begins now."""


@dataclass(frozen=True, kw_only=True)
class Commit:
    """Write what came of it, and take the next task with it if the worker goes on."""

    answer: Scored | Refitted
    go_on: bool = True


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Report a fault of the child, which is replaced if it is not to be trusted any more."""

    reason: str
    replace: bool


@dataclass(frozen=True, kw_only=True)
class Lose:
    """Somebody killed the child from outside: give the task back; it is no fault of the task."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """Give the task back unfinished."""

    reason: str


Step: TypeAlias = Wait | Extend | Begin | Commit | Fault | Lose | Release


@dataclass(frozen=True, kw_only=True)
class Proceed:
    """Claim now; what kept the child from being ready, if anything did, is for a task to say."""

    ready: bool = False
    replace: bool = False


def until_ready(sent: float, seen: Seen) -> Wait | Proceed:
    """What to do about a child that was told at `sent` to open a study before the first claim."""
    if seen.answer is not None:
        ready, raised = isinstance(seen.answer, Ready), isinstance(seen.answer, Raised)
        return Proceed(ready=ready, replace=not ready and not raised)
    if seen.exit_status is not None or seen.closed or seen.leaving:
        return Proceed(replace=True)
    left = sent + START - seen.now
    return Wait(seconds=left) if left > 0 else Proceed(replace=True)


def next_step(attempt: Attempt, seen: Seen) -> Step:
    """What to do about the attempt now."""
    if seen.answer is not None:
        return _answered(attempt, seen.answer, go_on=not seen.leaving)
    if seen.exit_status is not None:
        return _died(seen.exit_status, seen.last_words)
    if seen.stop:
        return Release(reason=TOLD)
    if seen.closed:
        return Fault(reason="closed the connection to its worker", replace=True)
    return _over_limit(attempt, seen) or _in_time(attempt, seen)


def _answered(attempt: Attempt, answer: Answer, *, go_on: bool) -> Step:
    if isinstance(answer, Ready) or answer.token != attempt.token:
        return Fault(reason="answered another task than the one it was given", replace=True)
    match answer:
        case Raised(reason=reason):
            return Fault(reason=reason, replace=False)
        case Began():
            return Begin()
        case Scored() | Refitted():
            return Commit(answer=answer, go_on=go_on)


def _died(status: int, last_words: str) -> Step:
    if -status in {signal.SIGKILL, signal.SIGTERM}:
        return Lose()
    words = f"; it last printed: {last_words}" if last_words else ""
    if status < 0:
        return Fault(reason=f"killed by {_signal(-status)}{words}", replace=True)
    return Fault(reason=f"ended its process with status {status}{words}", replace=True)


def _signal(number: int) -> str:
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


def _over_limit(attempt: Attempt, seen: Seen) -> Step | None:
    limits = attempt.limits
    if seen.now > _deadline(attempt):
        if attempt.began is None:
            return Fault(reason=f"did not begin within {START:g} s", replace=True)
        return Fault(reason=f"over its time limit of {limits.seconds:g} s", replace=True)
    if limits.memory is not None and (seen.memory or 0) > limits.memory:
        mib = limits.memory / (1 << 20)
        return Fault(reason=f"over its memory limit of {mib:g} MiB", replace=True)
    return None


def _deadline(attempt: Attempt) -> float:
    """When the attempt has taken too long: its start has a limit, and the task has its own."""
    if attempt.began is None:
        return attempt.sent + START
    return attempt.began + (attempt.limits.seconds or math.inf)


def _in_time(attempt: Attempt, seen: Seen) -> Step:
    due = attempt.heard + attempt.lease / 3
    if seen.now >= due:
        return Extend()
    wait = min(due, _deadline(attempt) + 0.01) - seen.now
    if attempt.limits.memory is not None:
        wait = min(wait, MEMORY_LOOK)
    return Wait(seconds=max(wait, 0.0))
