"""The fleet: the workers that are alive, what each has in hand, and what waits for none of them.

A machine's share of it are `Slots`: so many worker processes, replaced where one dies.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from fairlead.errors import Transient
from fairlead.formatting import numbered
from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from fairlead.ledger.turns import lacking
from fairlead.machine import unique_name
from fairlead.records import FleetWorker, RunningTask, TaskQueue
from fairlead.runners.runner import WorkerGroup
from fairlead.settings import Settings
from fairlead.study.run import local_runner
from fairlead.study.workers import StudyWorkers

_EVERY = 0.5
"""Seconds between two looks at the workers of slots."""
_PATIENCE = 2.0
"""Seconds that slots wait for a ledger that is away: then they look at their workers again."""


@dataclass(frozen=True, kw_only=True)
class FleetMember:
    """A worker that is alive.

    Args:
        worker: As the ledger knows it.
        task: That it has in hand.
        doing: The same, in words.
        seconds: For which it has had the task.
    """

    worker: FleetWorker
    task: RunningTask | None
    doing: str
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """All workers.

    Args:
        now: The ledger's clock.
        alive: The oldest first.
        silent: Those that were not heard of for longer than their lease, and said no goodbye.
        unserved: Ready tasks that no worker takes, and why, a line each.
    """

    now: float
    alive: Sequence[FleetMember]
    silent: Sequence[FleetWorker]
    unserved: Sequence[str]


def fleet(ledger: Ledger) -> Fleet:
    """The fleet at this moment."""
    now = ledger.now()
    # Of several that were claimed together, the first stands for all.
    tasks = {task.worker: task for task in reversed(ledger.tasks.running())}
    names = {study.id: study.name for study in ledger.studies.all()}
    alive = [
        _member(worker, tasks.get(worker.name), names, now) for worker in ledger.workers.alive()
    ]
    waiting = ledger.tasks.waiting()
    return Fleet(
        now=now,
        alive=alive,
        silent=ledger.workers.silent(),
        unserved=[
            line
            for queue in waiting
            if (line := _unserved(queue, [one.worker for one in alive], names))
        ],
    )


def _member(
    worker: FleetWorker, task: RunningTask | None, names: dict[str, str], now: float
) -> FleetMember:
    if task is None:
        return FleetMember(worker=worker, task=None, doing="idle", seconds=None)
    what = numbered("refit of trial" if task.kind == "refit" else "trial", task.trials)
    return FleetMember(
        worker=worker,
        task=task,
        doing=f"{names.get(task.study, task.study)}, {what}",
        seconds=max(0.0, now - task.since),
    )


def _unserved(queue: TaskQueue, workers: Sequence[FleetWorker], names: dict[str, str]) -> str:
    """Why no worker takes these tasks; empty where one may."""
    reasons = [
        lacking(queue, worker.offer) if worker.study in {None, queue.study} else "works on another"
        for worker in workers
    ]
    if not all(reasons):
        return ""
    what = f"tasks of {names.get(queue.study, queue.study)} ({queue.family or 'any family'}) wait"
    if not reasons:
        return f"{what}: no worker is alive"
    named = sorted({f"{worker.name}: {why}" for worker, why in zip(workers, reasons, strict=True)})
    more = f"; and {len(named) - 3} more" if len(named) > 3 else ""  # noqa: PLR2004 - that are named
    return f"{what} for another worker: {'; '.join(named[:3])}{more}"


# ---- slots ----------------------------------------------------------------------------------


def slots_ledger(settings: Settings) -> Ledger:
    """The ledger for `Slots`: one that is away keeps them from nothing else for long."""
    return open_ledger(settings.ledger_url, patience=_PATIENCE, setting=settings.ledger_setting)


class Slots:
    """So many workers of this machine, until they are asked to stop.

    Args:
        ledger: Where they get tasks from: see `slots_ledger`.
        settings: Say where the stores are.
        count: How many there are to be.
        study: Id of the one study that they work on; any if None.
        drain: Seconds that tasks in hand have, once asked to stop; as long as they take if None.
        name: What their names begin with; NAME-1 and so on, a new number for each.
    """

    def __init__(  # noqa: PLR0913 - where, which and how many
        self,
        ledger: Ledger,
        settings: Settings,
        *,
        count: int,
        study: str | None,
        drain: float | None,
        name: str | None = None,
    ) -> None:
        self._names = unique_name if name is None else partial(_numbered, name, itertools.count(1))
        self._ledger = ledger
        self._settings = settings
        self._count = count
        self._study = study
        self._drain = math.inf if drain is None else drain
        self._asked = 0
        self._until = math.inf  # what is in hand may go on, by the monotonic clock
        self._wake = threading.Event()

    def stop(self) -> None:
        """Let the workers finish what they have in hand; asked twice, end them at once."""
        if not self._asked:
            self._until = time.monotonic() + self._drain
        self._asked += 1
        self._wake.set()

    def run(self) -> None:
        """Have them work; ends when they have ended.

        Raises:
            Failed: They end one after another as soon as they start.
        """
        group = WorkerGroup(
            key=unique_name(),
            study=self._study,
            ledger=self._settings.ledger_url,
            artifacts=self._settings.artifacts_url,
            environ={"FAIRLEAD_LEASE": repr(self._settings.lease)},
        )
        runner = local_runner(self._settings, names=self._names)
        with StudyWorkers(runner, self._ledger, count=self._count) as workers:
            workers.start(group)
            while not self._asked:
                with suppress(Transient):  # the ledger is away: tried again
                    workers.poll()
                self._wake.wait(_EVERY)
            asked_to_leave = False
            while self._asked == 1 and workers.alive() and time.monotonic() < self._until:
                if not asked_to_leave:
                    with suppress(Transient):
                        workers.drain()
                        asked_to_leave = True
                self._wake.clear()
                self._wake.wait(_EVERY / 5)


def _numbered(name: str, numbers: Iterator[int]) -> str:
    return f"{name}-{next(numbers)}"
