"""What the rule makes of a load: workers, tasks and time simulated, the decisions real.

A worker takes `startup` seconds to its first task, then takes the oldest task that waits, and ends
at once when it is asked to leave and has none. Time goes from one event to the next; every `EVERY`
seconds the rule decides, as the loop does.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from fairlead.autoscale.decide import (
    Fleet,
    Memory,
    ScaledWorker,
    WorkerState,
    decide,
    is_news,
    span,
)
from fairlead.autoscale.described_load import Arrival, DescribedLoad
from fairlead.errors import Invalid
from fairlead.records import Load, ScalingDecision, StudyLoad

EVERY = 1.0
"""Seconds between two decisions."""

LONGEST = 7 * 86400.0
"""Seconds that are simulated at most, all workers being busy."""

_LAST_TASKS = 20  # as in the ledger: so many say how long one takes
_BLOCKS = " ▁▂▃▄▅▆▇█"

EventKind: TypeAlias = Literal["arrival", "started", "ended"]


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What came of a load.

    Args:
        decisions: Those that say something new, in order; `at` is in seconds from the beginning.
        tasks: How many came.
        done: How many of them were done.
        makespan: Seconds from the first arrival to the end of the last task.
        worker_seconds: What the workers cost.
        idle: Share of that in which they had no task.
        most: Workers that there were at most.
        levels: The number of workers, and of waiting tasks, from each of these seconds on.
    """

    decisions: tuple[ScalingDecision, ...]
    tasks: int
    done: int
    makespan: float
    worker_seconds: float
    idle: float
    most: int
    levels: tuple[tuple[float, int, int], ...]


@dataclass(kw_only=True)
class _Task:
    seconds: float
    study: str
    began: float = 0.0


@dataclass(kw_only=True)
class _Worker:
    name: str
    started: float
    since: float
    ready: bool = False
    leaving: bool = False
    task: _Task | None = None

    @property
    def state(self) -> WorkerState:
        if self.leaving:
            return "leaving"
        if self.task is not None:
            return "busy"
        return "idle" if self.ready else "starting"


@dataclass(kw_only=True)
class _Simulation:
    load: DescribedLoad
    now: float = 0.0
    workers: dict[str, _Worker] = field(default_factory=dict)
    waiting: deque[_Task] = field(default_factory=deque)
    ready: Counter[str] = field(default_factory=Counter)  # of `waiting`, by study
    last: dict[str, deque[float]] = field(default_factory=dict)  # seconds of each study's tasks
    events: list[tuple[float, int, EventKind, object]] = field(default_factory=list)
    levels: list[tuple[float, int, int]] = field(default_factory=list)
    done: int = 0
    end: float = 0.0  # of the last task
    busy: float = 0.0
    past: float = 0.0  # worker-seconds of those that have ended
    _number: itertools.count[int] = field(default_factory=itertools.count)

    def plan(self, at: float, kind: EventKind, about: object) -> None:
        """Events at one moment happen in the order in which they were planned."""
        heapq.heappush(self.events, (at, next(self._number), kind, about))

    def advance(self, to: float) -> None:
        """Let everything happen that does up to this moment."""
        while self.events and self.events[0][0] <= to:
            self.now, _, kind, about = heapq.heappop(self.events)
            match kind, about:
                case "arrival", Arrival():
                    self._arrive(about)
                case "started", _Worker():
                    about.ready = True
                case "ended", _Worker():
                    self._end_task(about)
            self._hand_out()
            self.note()
        self.now = to

    def start(self, many: int) -> None:
        for _ in range(many):
            name = f"w{next(self._number)}"
            worker = _Worker(name=name, started=self.now, since=self.now)
            self.workers[name] = worker
            self.plan(self.now + self.load.startup, "started", worker)

    def leave(self, names: Sequence[str]) -> None:
        for name in names:
            worker = self.workers[name]
            worker.leaving = True
            if worker.task is None:
                self._end(worker)

    def spent(self) -> float:
        return self.past + sum(self.now - worker.started for worker in self.workers.values())

    def seen(self) -> Load:
        """What the ledger would tell."""
        running = [worker.task for worker in self.workers.values() if worker.task]
        waiting = {study for study, count in self.ready.items() if count}
        names = sorted(waiting | {task.study for task in running})
        return Load(at=self.now, studies=tuple(self._study(name, running) for name in names))

    def fleet(self) -> Fleet:
        """What the loop would see."""
        return Fleet(
            workers=[
                ScaledWorker(name=each.name, state=each.state, since=each.since)
                for each in self.workers.values()
            ],
            spent=self.spent(),
        )

    def _study(self, name: str, running: Sequence[_Task]) -> StudyLoad:
        mine = [task for task in running if task.study == name]
        last = self.last.get(name)
        return StudyLoad(
            study=name,
            name=name,
            ready=self.ready[name],
            running=len(mine),
            seconds=sum(last) / len(last) if last else None,
            longest=max((self.now - task.began for task in mine), default=0.0),
        )

    def _arrive(self, arrival: Arrival) -> None:
        tasks = (_Task(seconds=arrival.seconds, study=arrival.study) for _ in range(arrival.tasks))
        self.waiting.extend(tasks)
        self.ready[arrival.study] += arrival.tasks

    def _hand_out(self) -> None:
        for worker in self.workers.values():
            if not self.waiting:
                return
            if worker.state == "idle":
                task = worker.task = self.waiting.popleft()
                self.ready[task.study] -= 1
                task.began = self.now
                self.plan(self.now + task.seconds, "ended", worker)

    def _end_task(self, worker: _Worker) -> None:
        task = worker.task
        assert task is not None
        self.last.setdefault(task.study, deque(maxlen=_LAST_TASKS)).append(task.seconds)
        self.busy += task.seconds
        self.done += 1
        self.end = worker.since = self.now
        worker.task = None
        if worker.leaving:
            self._end(worker)

    def _end(self, worker: _Worker) -> None:
        del self.workers[worker.name]
        self.past += self.now - worker.started

    def note(self) -> None:
        """Remember how many workers and waiting tasks there are from now on."""
        level = (self.now, len(self.workers), len(self.waiting))
        if self.levels and self.levels[-1][0] == self.now:
            self.levels.pop()
        self.levels.append(level)


def replay(load: DescribedLoad) -> Replay:
    """Simulate a load from its first arrival until all is done and the last worker may go."""
    _refuse_long(load)
    simulation = _Simulation(load=load)
    for arrival in load.arrivals:
        simulation.plan(arrival.at, "arrival", arrival)
    kept: list[ScalingDecision] = []
    memory = Memory()
    while True:
        simulation.advance(simulation.now)
        decision, memory = decide(load.policy, simulation.seen(), simulation.fleet(), memory)
        if is_news(kept[-1] if kept else None, decision):
            kept.append(decision)
        simulation.start(decision.start)
        simulation.leave(decision.leave)
        simulation.note()
        if _is_over(simulation, decision, load.policy.least):
            return _outcome(load, simulation, kept)
        simulation.advance(_following(simulation, decision))


def _refuse_long(load: DescribedLoad) -> None:
    work = sum(each.tasks * each.seconds for each in load.arrivals)
    if work / load.policy.most > LONGEST:
        raise Invalid(
            f"the tasks take {span(work)} together, with {load.policy.most} workers at most more "
            f"than the {span(LONGEST)} that are simulated: describe a part of them"
        )


def _is_over(simulation: _Simulation, decision: ScalingDecision, least: int) -> bool:
    """Nothing will happen any more, and nobody is to leave."""
    if simulation.events or decision.start:
        return False
    return len(simulation.workers) <= least or decision.cause == "spent"


def _following(simulation: _Simulation, decision: ScalingDecision) -> float:
    """When the rule decides next: where nothing can change before an event, just before that."""
    now, events = simulation.now, simulation.events
    settled = decision.wanted == decision.there and not simulation.waiting
    if not settled or not events or simulation.load.policy.budget is not None:
        return now + EVERY
    return now + EVERY * max(1, math.ceil((events[0][0] - now) / EVERY) - 1)


def _outcome(load: DescribedLoad, simulation: _Simulation, kept: list[ScalingDecision]) -> Replay:
    spent = simulation.spent()
    return Replay(
        decisions=tuple(kept),
        tasks=sum(each.tasks for each in load.arrivals),
        done=simulation.done,
        makespan=max(0.0, simulation.end - min(each.at for each in load.arrivals)),
        worker_seconds=spent,
        idle=1 - simulation.busy / spent if spent else 0.0,
        most=max(workers for _, workers, _ in simulation.levels),
        levels=tuple(simulation.levels),
    )


def picture(of: Replay, width: int = 60) -> tuple[str, str]:
    """Workers and waiting tasks over time, a line of blocks each; the highest is a whole block.

    Args:
        of: What to draw.
        width: Characters of a line.
    """
    until = of.levels[-1][0] or EVERY
    return _line(of, 1, until, width), _line(of, 2, until, width)


def _line(of: Replay, which: int, until: float, width: int) -> str:
    """The most within each part of the time."""
    parts = [0] * width
    for level, following in itertools.pairwise((*of.levels, (until, 0, 0))):
        first = min(width - 1, int(level[0] / until * width))
        last = min(width - 1, math.ceil(following[0] / until * width) - 1)
        for part in range(first, max(first, last) + 1):
            parts[part] = max(parts[part], int(level[which]))
    highest = max(parts) or 1
    steps = len(_BLOCKS) - 1
    return "".join(_BLOCKS[math.ceil(part / highest * steps)] for part in parts).rstrip()
