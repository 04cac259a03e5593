"""Why a run does not go on by itself: nobody carries it, or no worker is alive for its tasks.

Both are so for a moment with every run: until a controller has looked, and while workers start.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Literal

from fairlead.ledger.interface import Ledger
from fairlead.records import Counts, Run, Schedule, Study

Halt = Literal["no_controller", "no_worker"]

PATIENCE = 4.0
"""Seconds for which it must have been so: a controller looks every 0.5 s, a worker starts in 2."""


def halts(ledger: Ledger, run: Run, study: Study, counts: Counts) -> Sequence[Halt]:
    """What the run lacks at this moment; workers are asked for only if no task runs."""
    if run.state != "running" or study.paused:
        return ()
    orphans = {orphan.id for orphan in ledger.runs.orphans()}
    found: list[Halt] = ["no_controller"] if run.id in orphans else []
    if counts.ready and not counts.running and not ledger.workers.alive():
        found.append("no_worker")
    return found


class HaltWatch:
    """Tells each halt once, when it has lasted.

    Args:
        tell: Called with it.
    """

    def __init__(self, tell: Callable[[Halt], None]) -> None:
        self._tell = tell
        self._since: dict[Halt, float] = {}
        self._told: set[Halt] = set()

    def look(self, found: Collection[Halt], now: float) -> None:
        """Note what is lacking now, by a clock in seconds."""
        self._since = {halt: self._since.get(halt, now) for halt in found}
        for halt, since in self._since.items():
            if now - since >= PATIENCE and halt not in self._told:
                self._told.add(halt)
                self._tell(halt)


def abandoned(ledger: Ledger) -> Sequence[Run]:
    """The runs that go on in name only: begun a while ago, and nobody carries them now."""
    orphans = ledger.runs.orphans()
    if not orphans:
        return ()
    now = ledger.now()
    paused = {run.study for run in orphans if ledger.studies.get(run.study).paused}
    return [run for run in orphans if now - run.since > PATIENCE and run.study not in paused]


def unserved(ledger: Ledger) -> bool:
    """Whether there are ready tasks and no worker is alive."""
    return bool(ledger.tasks.waiting()) and not ledger.workers.alive()


def overdue(schedules: Sequence[Schedule], now: float) -> Sequence[Schedule]:
    """Those whose time has passed and that no controller begins."""
    return [
        one
        for one in schedules
        if not one.paused and one.holder is None and now - one.due > PATIENCE
    ]
