"""The loop of an autoscaler: look, decide, carry out, keep the decision.

It only starts workers and asks them to leave; what a worker has in hand is never broken off, but by
the end of a drain that takes too long. One process at a time decides under a name, by a lease in
the ledger; another waits. Whoever loses the lease has its workers leave; detached ones are those of
whoever holds it. A ledger that is away is waited for; the workers wait for it, too. So is a right
that is taken away, or a quota that is used up, while workers are there: no worker ends by that.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from fairlead.autoscale.decide import (
    Fleet,
    Memory,
    Policy,
    ScaledWorker,
    WorkerState,
    decide,
    is_news,
)
from fairlead.errors import Failed, FairleadError, Forbidden, Transient
from fairlead.formatting import count
from fairlead.ledger.interface import Ledger
from fairlead.records import Autoscaler, Load, Offer, ScalingDecision
from fairlead.runners.runner import Runner, WorkerGroup, WorkerStatus
from fairlead.study.workers import MOST_EARLY, early_end_reason, early_ends
from fairlead.worker.loop import WorkerStop

EVERY = 1.0
"""Seconds between two looks."""
_OFTEN = 0.1
"""Seconds between two looks while workers are on their way out."""


@dataclass(kw_only=True)
class AutoscalerLoop:
    """One process that decides how many workers there are, or waits for the one that does.

    Args:
        name: What it goes by: one process decides under each name.
        holder: Name of this process, unique among those alive.
        ledger: Where the load is, and decisions are kept.
        runner: Where workers run.
        group: What workers are started.
        policy: How many are wanted.
        offer: What they have for tasks; None where that is not known before one runs.
        lease: Seconds of the lease.
        drain: Seconds that workers have for the tasks in hand, when it is asked to stop.
        every: Seconds between two looks.
        stop: Asked once it ends as described, asked twice it ends at once.
        on_decision: Called with each decision that is kept.
        note: Called with a line of text for what else happens.
        trouble: What the last round met: why workers wait, or what could not be done; empty for
            nothing.
    """

    name: str
    holder: str
    ledger: Ledger
    runner: Runner
    group: WorkerGroup
    policy: Policy
    offer: Offer | None
    lease: float
    drain: float
    every: float = EVERY
    stop: WorkerStop = field(default_factory=WorkerStop)
    on_decision: Callable[[ScalingDecision], None] = lambda _decision: None
    note: Callable[[str], None] = lambda _line: None
    trouble: str = field(default="", init=False)
    _memory: Memory = field(default_factory=Memory)
    _last: ScalingDecision | None = None
    _is_holding: bool = False
    _keeps: bool = False  # the workers are another's to go on with
    _base: float = 0.0  # what was spent before the workers of this process
    _former: frozenset[str] = frozenset()  # workers of the process that had the name before
    _useful: dict[str, float] = field(default_factory=dict)  # when each worker had a task last
    _asked: set[str] = field(default_factory=set)  # workers that were asked to leave
    _reaped: set[str] = field(default_factory=set)
    _learned: bool = False  # what they have was told by one of them
    _seconds: dict[str, float] = field(default_factory=dict)  # of each worker, ended ones included
    _early: int = 0
    _said: str = ""
    _met: str = ""  # what this round has met so far

    def run(self) -> None:
        """Go on until asked to stop.

        Raises:
            Failed: Workers end one after another as soon as they start.
            Forbidden: It was never allowed to see workers.
        """
        try:
            while not self.stop.after_task:
                self._met = ""
                self._patiently(self._round)
                self.trouble = self._met
                self._pause(self.every)
            if not self._keeps:
                self._drain()
        except Failed as error:
            self._keeps = False
            self._patiently(partial(self._say_end, "failed", str(error)))
            raise
        finally:
            self._end()

    @property
    def is_holding(self) -> bool:
        """Whether this process decides, or did when it could look last."""
        return self._is_holding

    def let_go(self) -> None:
        """End, and leave detached workers to whoever takes the name when the lease has ended."""
        self._keeps = self.runner.detached
        self.stop.ask()

    def _round(self) -> None:
        workers = self._look()
        if self._hold(workers):
            self._scale(workers)
        elif not self.runner.detached:
            self._ask_to_leave([worker.name for worker in workers if worker.alive])

    def _scale(self, workers: Sequence[WorkerStatus]) -> None:
        known = {each.name: each.offer for each in self.ledger.workers.alive()}
        load = self.ledger.autoscaling.load(
            offer=self._offered(known, workers), study=self.group.study
        )
        decision, self._memory = decide(
            self.policy,
            load,
            self._fleet(load, workers, known),
            self._memory,
            autoscaler=self.name,
        )
        if decision.start:
            alive = sum(worker.alive for worker in workers)
            self.runner.ensure(self.group, alive + decision.start)
            self._hold(self.runner.look(self.group.key))  # others are told of them at once
        if decision.leave:
            self._ask_to_leave(decision.leave)
        if is_news(self._last, decision):
            self._keep(decision)
        self._say_who_waits(workers)

    def _say_who_waits(self, workers: Sequence[WorkerStatus]) -> None:
        waiting = [each for each in workers if each.state == "starting" and each.why]
        if waiting:
            one = len(waiting) == 1
            who = f"{count(len(waiting), 'worker')} wait{'s' if one else ''} to start"
            self._say(f"{who}: {waiting[0].why}")

    def _keep(self, decision: ScalingDecision) -> None:
        kept = self.ledger.autoscaling.decided(decision, holder=self.holder)
        self._last = kept
        self.on_decision(kept)

    # ---- what is there ------------------------------------------------------------------------

    def _look(self) -> Sequence[WorkerStatus]:
        """Every worker, with the tasks of those that died given back.

        Raises:
            Failed: They end one after another as soon as they start.
        """
        workers = self.runner.look(self.group.key)
        ended = [one for one in workers if not one.alive and one.name not in self._reaped]
        for worker in ended:
            self.ledger.tasks.lose(worker.name, f"its worker ended ({worker.why})")
            self._reaped.add(worker.name)
        unasked = [worker for worker in ended if worker.name not in self._asked]
        if self._is_holding:
            self._early = early_ends(self._early, unasked)
        if self._early >= MOST_EARLY:
            raise Failed(early_end_reason(self.runner, self.group.key, unasked[-1]))
        return workers

    def _offered(self, known: Mapping[str, Offer], workers: Sequence[WorkerStatus]) -> Offer | None:
        """What the workers have: as the last of them said, where this process cannot know."""
        if self.offer is None or self._learned:
            for worker in workers:
                if worker.name in known:
                    self.offer, self._learned = known[worker.name], True
        return self.offer

    def _fleet(self, load: Load, workers: Sequence[WorkerStatus], known: Collection[str]) -> Fleet:
        return Fleet(
            workers=[
                ScaledWorker(name=each.name, state=state, since=self._since(each.name, state, load))
                for each in workers
                if each.alive
                for state in [self._state(each, load, known)]
            ],
            others=len(self._former.intersection(known)),
            spent=self._spent(workers),
        )

    def _state(self, worker: WorkerStatus, load: Load, known: Collection[str]) -> WorkerState:
        if worker.name in self._asked:
            return "leaving"
        if worker.name in load.busy:
            return "busy"
        ready = worker.state != "starting" and worker.name in known
        return "idle" if ready else "starting"

    def _since(self, name: str, state: WorkerState, load: Load) -> float:
        if state == "busy":
            self._useful[name] = load.at
        return self._useful.setdefault(name, load.at)

    def _spent(self, workers: Sequence[WorkerStatus]) -> float:
        """Worker-seconds so far; a runner need not tell for ever of workers that ended."""
        self._seconds.update({worker.name: worker.seconds for worker in workers})
        return self._base + sum(self._seconds.values())

    # ---- the lease ----------------------------------------------------------------------------

    def _hold(self, workers: Sequence[WorkerStatus]) -> bool:
        """Whether this process has the name; taken where nobody else has it."""
        wanted = Autoscaler(
            name=self.name,
            holder=self.holder,
            workers=tuple(worker.name for worker in workers if worker.alive),
            spent=self._spent(workers),
        )
        held = self.ledger.autoscaling.take(wanted, lease=self.lease)
        holding = held.holder == self.holder
        if holding and not self._is_holding:
            self._base += held.spent - wanted.spent
            self._former = frozenset(held.workers) - set(wanted.workers)
            self._memory = Memory()
            self.runner.ensure(self.group, 0)  # its workers may be there, of who held it before
        elif not holding:
            self._say(f"autoscaler {self.name!r} is held by {held.holder!r}; waiting for its end")
        self._is_holding = holding
        return holding

    # ---- the end ------------------------------------------------------------------------------

    def _ask_to_leave(self, workers: Sequence[str]) -> None:
        """Running workers are asked through the ledger, so that no runner chooses a victim."""
        new = [name for name in workers if name not in self._asked]
        if new:
            self.ledger.tasks.ask_to_leave(new)
            self._asked.update(new)
            self.runner.leave(self.group.key, new)

    def _drain(self) -> None:
        """Have all workers leave, and wait for them, but not for long."""
        if not self._owns():
            return
        deadline = time.monotonic() + self.drain
        self._patiently(partial(self._say_end, "stopping", "asked to stop"))
        while self._patiently(self._have_left) is not True:
            if time.monotonic() > deadline or self.stop.at_once:
                return
            self._pause(_OFTEN)

    def _have_left(self) -> bool:
        """Whether no worker is left; those that are, are asked to leave."""
        workers = self.runner.look(self.group.key)
        alive = [worker.name for worker in workers if worker.alive]
        if alive:
            self._ask_to_leave(alive)
            self._hold(workers)
        return not alive

    def _owns(self) -> bool:
        """Whether the workers are this process's to end."""
        return self._is_holding or not self.runner.detached

    def _alive(self) -> list[str]:
        return [worker.name for worker in self.runner.look(self.group.key) if worker.alive]

    def _say_end(self, cause: str, why: str) -> None:
        if not self._is_holding:
            return
        alive = self._alive()
        leave = f"; {count(len(alive), 'worker')} leave" if alive else ""
        decision = ScalingDecision(
            autoscaler=self.name,
            cause=cause,
            reason=f"{why}{leave}{'s' if len(alive) == 1 else ''}",
            wanted=0,
            there=len(alive),
            leave=tuple(alive),
            spent=self._spent(self.runner.look(self.group.key)),
        )
        self._keep(decision)

    def _end(self) -> None:
        """End what is left; what it has in hand goes back to the ledger."""
        if self._keeps or not self._owns():
            return
        workers = self.runner.look(self.group.key)
        self.runner.remove(self.group.key)
        with suppress(FairleadError):  # all leases end by themselves
            for worker in workers:
                if worker.name not in self._reaped:
                    self.ledger.tasks.lose(worker.name)
            if self._is_holding:
                self.ledger.autoscaling.release(self.name, self.holder)

    def _patiently(self, act: Callable[[], object]) -> object:
        """Do it, or say why it cannot be done now; the next round tries again."""
        try:
            return act()
        except (Transient, Forbidden) as error:
            if isinstance(error, Forbidden) and not self._is_holding:
                raise
            self._say(f"{error}; trying again")
            return None

    def _say(self, line: str) -> None:
        self._met = line
        if line != self._said:
            self._said = line
            self.note(line)

    def _pause(self, seconds: float) -> None:
        select.select([self.stop.wake], [], [], seconds)
        self.stop.drain()
