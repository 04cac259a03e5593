"""The workers of a run: started when there is work, replaced when they die.

The task of a worker that died goes back to the ledger at once. Workers that end one after another
as soon as they start point to a fault of the machine: the run fails with what the last one printed.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Self

from fairlead.errors import Failed, Forbidden, Transient
from fairlead.ledger.interface import Ledger
from fairlead.runners.runner import Runner, WorkerGroup, WorkerStatus

EARLY = 3.0
"""A worker that ends within so many seconds of its start ended early."""
MOST_EARLY = 5
"""So many in a row, and something is wrong with the machine rather than with a task."""


def early_ends(before: int, ended: Iterable[WorkerStatus]) -> int:
    """How many workers in a row ended early by now; a kill from outside begins anew."""
    for worker in ended:
        before = before + 1 if worker.seconds < EARLY and not worker.killed else 0
    return before


def early_end_reason(runner: Runner, key: str, worker: WorkerStatus) -> str:
    """Why workers of a group end as soon as they start, as one of them printed it."""
    try:
        lines = runner.logs(key, worker.name).split("\n")
    except Forbidden:  # an operator sees pods, and not what they print
        return f"workers end as soon as they start: {worker.why} (more in {worker.log})"
    last = next((line for line in reversed(lines) if line.strip()), "it printed nothing")
    return f"workers end as soon as they start ({worker.why}): {last} (more in {worker.log})"


class StudyWorkers:
    """The workers that one run has; a context manager that ends them.

    Args:
        runner: Where they run.
        ledger: Where tasks of dead ones go back to.
        count: How many are to be alive.
    """

    def __init__(self, runner: Runner, ledger: Ledger, *, count: int) -> None:
        self.draining = False
        self._runner = runner
        self._ledger = ledger
        self._count = count
        self._group: WorkerGroup | None = None
        self._reaped: set[str] = set()
        self._early = 0

    def start(self, group: WorkerGroup) -> None:
        """Start them, unless they are there."""
        if self._group is None:
            self._group = group
            self._runner.ensure(group, self._count)

    def alive(self) -> int:
        """How many have not ended."""
        return sum(worker.alive for worker in self._look())

    def poll(self) -> None:
        """Give back the tasks of dead workers and replace these.

        Raises:
            Failed: They end one after another as soon as they start.
        """
        ended = [one for one in self._look() if not one.alive and one.name not in self._reaped]
        for worker in ended:
            self._reap(worker)
        self._early = early_ends(self._early, ended)
        if self._early >= MOST_EARLY:
            assert self._group is not None
            raise Failed(early_end_reason(self._runner, self._group.key, ended[-1]))
        if ended and self._group and not self.draining:
            self._runner.ensure(self._group, self._count)

    def drain(self) -> None:
        """Have them finish the task in hand and end; one that is still starting ends now."""
        self.draining = True
        if self._group is not None:
            alive = [worker.name for worker in self._look() if worker.alive]
            self._ledger.tasks.ask_to_leave(alive)
            self._runner.leave(self._group.key, alive)

    def _look(self) -> list[WorkerStatus]:
        return list(self._runner.look(self._group.key)) if self._group else []

    def _reap(self, worker: WorkerStatus) -> None:
        self._ledger.tasks.lose(worker.name, f"its worker ended ({worker.why})")
        self._reaped.add(worker.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End them now; what they have in hand goes back to the ledger."""
        workers = self._look()
        if self._group is not None:
            self._runner.remove(self._group.key)
        self._group = None
        with suppress(Transient):  # what is not said now, the end of their leases says
            for worker in workers:
                self._reap(worker)
