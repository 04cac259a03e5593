"""How many workers there are to be, decided over records and a clock alone.

The work that waits, in seconds, shared by the seconds in which it is to be done, is the number of
workers that are wanted: never more than there are tasks, never more than the bound, never more than
the budget pays for. More are started at once. Fewer are kept only once fewer have been wanted for
the whole cool-down, and only workers without a task are asked to leave, the one that has been idle
longest first. So a worker that has a task keeps it to its end, whatever is decided.

A decision that leaves everything as it is has the same `cause` as the one before it, and needs not
be kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from fairlead.errors import Invalid
from fairlead.formatting import count
from fairlead.records import Load, ScalingDecision, StudyLoad

WorkerState: TypeAlias = Literal["starting", "idle", "busy", "leaving"]
Cause: TypeAlias = Literal[
    "work",  # as many as the work asks for
    "tasks",  # as many as there are tasks: more could do nothing
    "most",  # as many as there may be
    "budget",  # as many as the budget pays for
    "spent",  # none: the budget is spent
    "least",  # as many as there are to be at least
    "none",  # none: there is nothing to do
    "lacking",  # none: no worker here can take what waits
    "cooling",  # more than are wanted, until that has been so for the cool-down
    "shrinking",  # fewer from now on
    "stopping",  # none: the autoscaler was asked to end
    "failed",  # none: workers end as soon as they start
]

ASSUMED = 10.0
"""Seconds of a task, where none of its study has ended yet and none has been running for longer."""

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What the owner of the machines wants.

    Args:
        least: Workers that there are at least, also when there is nothing to do.
        most: Workers that there are at most, leaving ones included.
        within: Seconds in which the tasks that wait are to be worked off.
        cooldown: Seconds for which fewer must have been wanted before any leave.
        budget: Worker-seconds that may be spent; None for no bound.
    """

    least: int = 0
    most: int = 16
    within: float = 60.0
    cooldown: float = 60.0
    budget: float | None = None

    def __post_init__(self) -> None:
        if self.least > self.most:
            raise Invalid(
                f"at least {self.least} workers and at most {self.most}: the least must not be "
                "above the most"
            )


@dataclass(frozen=True, kw_only=True)
class ScaledWorker:
    """A worker that has not ended.

    Args:
        name: Its name.
        state: What it is doing.
        since: When it had a task last; where it never had one, when it was started.
    """

    name: str
    state: WorkerState
    since: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The workers of an autoscaler, and what it knows beside.

    Args:
        workers: Those that have not ended.
        others: Workers of a process that had the name before; they count for the bound.
        spent: Worker-seconds so far.
    """

    workers: Sequence[ScaledWorker] = ()
    others: int = 0
    spent: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What the rule remembers from one decision to the next.

    Args:
        began: When it decided first; None before that.
        wanted: How many were wanted, and when; of those older than the cool-down the last alone,
            and none that a later one exceeds.
    """

    began: float | None = None
    wanted: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Want:
    workers: int
    cause: Cause
    why: str  # the first half of the reason


def decide(
    policy: Policy, load: Load, fleet: Fleet, memory: Memory, *, autoscaler: str = ""
) -> tuple[ScalingDecision, Memory]:
    """How many workers are to be started, and which are to leave.

    Args:
        policy: The bounds.
        load: What there is to do.
        fleet: The workers.
        memory: What the last decision left; `Memory()` before the first.
        autoscaler: Whose decision it is.

    Returns:
        The decision, and what the next one is to be given.
    """
    there = [worker for worker in fleet.workers if worker.state != "leaving"]
    want = _wanted(policy, load, fleet)
    memory = _remembered(memory, load.at, want.workers, policy.cooldown)
    decision = ScalingDecision(
        autoscaler=autoscaler,
        cause=want.cause,
        reason="",
        wanted=want.workers,
        there=len(there),
        starting=sum(worker.state == "starting" for worker in there),
        busy=sum(worker.state == "busy" for worker in there),
        ready=sum(study.ready for study in load.studies),
        running=sum(study.running for study in load.studies),
        spent=fleet.spent,
        at=load.at,
    )
    if want.cause == "spent":
        return _all_leave(decision, there, want), memory
    if want.workers > len(there):
        room = policy.most - len(fleet.workers) - fleet.others
        return _grown(decision, want, room), memory
    if want.workers < len(there):
        kept = _kept(memory, load.at, policy, len(there))
        return _shrunk(decision, want, kept, there, policy.cooldown), memory
    return replace(decision, reason=f"{want.why}; {_are(len(there), 'there')}"), memory


def is_news(last: ScalingDecision | None, decision: ScalingDecision) -> bool:
    """Whether a decision says something that the last one that was kept did not.

    It does where workers come or go, where it follows from another rule, and where another number
    is wanted; but while the cool-down runs, that may be another one each time.
    """
    if last is None or decision.start or decision.leave:
        return True
    if decision.cause == "cooling":
        return last.cause not in {"cooling", "shrinking"}
    return (decision.cause, decision.wanted) != (last.cause, last.wanted)


def after(decision: ScalingDecision) -> int:
    """How many workers there are once a decision is carried out, without leaving ones."""
    return decision.there + decision.start - len(decision.leave)


def task_seconds(study: StudyLoad) -> float:
    """How long one task of a study takes: as measured, or a stated assumption."""
    return max(ASSUMED, study.longest) if study.seconds is None else study.seconds


def span(seconds: float) -> str:
    """A time as people say it: 0.3 s, 45 s, 12 min, 2.5 h."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004 - two digits
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.3g} min"
    return f"{seconds / _HOUR:.3g} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.3g} days"


# ---- how many are wanted ----------------------------------------------------------------------


def _wanted(policy: Policy, load: Load, fleet: Fleet) -> _Want:
    able = [study for study in load.studies if study.ready and not study.lacking]
    by_work, cause, why = _by_work(able, load, fleet, policy)
    wanted = max(by_work, policy.least)
    if wanted > by_work:
        cause, why = "least", f"{why}; at least {policy.least}"
    if wanted > (most := max(0, policy.most - fleet.others)):
        held = f", {fleet.others} of them another's" if fleet.others else ""
        wanted, cause, why = most, "most", f"{why}; at most {policy.most}{held}"
    return _affordable(_Want(workers=wanted, cause=cause, why=why), policy, fleet)


def _by_work(
    able: Sequence[StudyLoad], load: Load, fleet: Fleet, policy: Policy
) -> tuple[int, Cause, str]:
    """Workers for what waits and for what runs: those that have a task are wanted to its end."""
    busy = sum(worker.state == "busy" for worker in fleet.workers)
    ready = sum(study.ready for study in able)
    if not ready:
        return busy, *_nothing_waits(load, busy)
    work = sum(study.ready * task_seconds(study) for study in able)
    asked = max(1, math.ceil(work / policy.within))
    # Somebody else's worker that is busy with these studies goes on with what waits.
    helpers = max(0, sum(study.running for study in able) - busy)
    own = max(0, asked - helpers)
    why = f"{_waiting(able)}: {_workers(asked)} in {span(policy.within)}"
    if helpers:
        why += f", {helpers} of them another's"
    # A busy worker takes the next task as soon as it is free: what it has is no reason for more.
    if own > ready + busy:
        return ready + busy, "tasks", f"{_waiting(able)}: {_workers(ready + busy)}, one a task"
    if own < busy:
        why = f"{_waiting(able)}: the {busy} that {'is' if busy == 1 else 'are'} busy will do"
    return max(own, busy), "work", why


def _nothing_waits(load: Load, busy: int) -> tuple[Cause, str]:
    waiting = sum(study.ready for study in load.studies)
    if waiting:
        why = next(study.lacking for study in load.studies if study.ready)
        return "lacking", f"{count(waiting, 'task')} wait for what no worker here has: {why}"
    if busy:
        return "work", f"no task waits, {busy} run{'s' if busy == 1 else ''}"
    return "none", "no task waits or runs"


def _affordable(want: _Want, policy: Policy, fleet: Fleet) -> _Want:
    """No more than could be paid for as long as the work is to take."""
    if policy.budget is None:
        return want
    left = policy.budget - fleet.spent
    if left <= 0:
        why = f"the budget of {_hours(policy.budget)} is spent"
        return _Want(workers=0, cause="spent", why=why)
    paid = math.ceil(left / policy.within)
    if want.workers <= paid:
        return want
    why = f"{want.why}; the {_hours(left)} that are left of the budget pay for {paid}"
    return _Want(workers=paid, cause="budget", why=why)


def _waiting(able: Sequence[StudyLoad]) -> str:
    ready = sum(study.ready for study in able)
    waits = "waits" if ready == 1 else "wait"
    mean = sum(study.ready * task_seconds(study) for study in able) / ready
    guessed = [study for study in able if study.seconds is None]
    if len(able) > 1:
        guess = ", some of them assumed" if guessed else ""
        return f"{count(ready, 'task')} of {len(able)} studies, {span(mean)} each{guess}, {waits}"
    if not guessed:
        return f"{count(ready, 'task')} of {span(mean)}{' each' if ready > 1 else ''} {waits}"
    why = "assumed, none has ended yet" if mean == ASSUMED else "so long one has been running"
    return f"{count(ready, 'task')} of {span(mean)}{' each' if ready > 1 else ''} ({why}) {waits}"


# ---- from there to here -----------------------------------------------------------------------


def _remembered(memory: Memory, at: float, wanted: int, cooldown: float) -> Memory:
    """With this wish, without those that are too old or are exceeded by a later one."""
    if memory.began is None or at < memory.wanted[-1][0]:  # the clock was set back
        return Memory(began=at, wanted=((at, wanted),))
    past = [one for one in memory.wanted if one[1] > wanted and at - one[0] < cooldown]
    return Memory(began=memory.began, wanted=(*past, (at, wanted)))


def _kept(memory: Memory, at: float, policy: Policy, there: int) -> int:
    """The most that were wanted within the cool-down; all, where that is not known for so long."""
    assert memory.began is not None  # it has just been remembered
    if at - memory.began < policy.cooldown:
        return there
    return min(there, max(wanted for _, wanted in memory.wanted))


def _grown(decision: ScalingDecision, want: _Want, room: int) -> ScalingDecision:
    lacking = want.workers - decision.there
    start = max(0, min(lacking, room))
    reason = f"{want.why}; {_are(decision.there, 'there')}, {start} more start"
    if start < lacking:
        reason += ": the others wait until leaving ones have ended"
    return replace(decision, start=start, reason=reason.replace("1 more start", "1 more starts"))


def _shrunk(
    decision: ScalingDecision,
    want: _Want,
    kept: int,
    there: Sequence[ScaledWorker],
    cooldown: float,
) -> ScalingDecision:
    free = [worker for worker in there if worker.state != "busy"]
    # One that is still starting has been of no use yet.
    free.sort(key=lambda one: (one.state != "starting", one.since, one.name))
    leave = tuple(worker.name for worker in free[: max(0, len(there) - kept)])
    are = _are(len(there), "there")
    if leave:
        going = f"{len(leave)} idle {'one leaves' if len(leave) == 1 else 'ones leave'}"
        reason = f"{want.why}; {are}, {going} after {span(cooldown)} of too many"
        return replace(decision, cause="shrinking", leave=leave, reason=reason)
    if not free:
        return replace(decision, reason=f"{want.why}; {are}, all busy")
    reason = f"{want.why}; {are}, kept for {span(cooldown)} from when more were wanted"
    return replace(decision, cause="cooling", reason=reason)


def _all_leave(
    decision: ScalingDecision, there: Sequence[ScaledWorker], want: _Want
) -> ScalingDecision:
    leave = tuple(worker.name for worker in there)
    after = f"; {_workers(len(leave))} leave{'s' if len(leave) == 1 else ''} after the task in hand"
    return replace(decision, leave=leave, reason=want.why + (after if leave else "; none is there"))


def _workers(many: int) -> str:
    return count(many, "worker")


def _are(many: int, where: str) -> str:
    return f"{many or 'none'} {'are' if many > 1 else 'is'} {where}"


def _hours(seconds: float) -> str:
    return f"{seconds / _HOUR:.3g} worker-hours"
