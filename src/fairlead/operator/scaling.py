"""Workers of Studies: an autoscaler for each, in a thread of the operator.

Each decides under a name of its own in the ledger, and one process at a time does: of two operators
one scales a Study. An operator that ends leaves the workers to the next.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fairlead.autoscale.decide import Policy
from fairlead.autoscale.loop import AutoscalerLoop
from fairlead.errors import FairleadError
from fairlead.ledger.interface import Ledger
from fairlead.machine import unique_name
from fairlead.records import ScalingDecision
from fairlead.runners.kubernetes import KubernetesRunner
from fairlead.runners.runner import Runner, WorkerGroup

_LOG = logging.getLogger(__name__)
_DRAIN = 30.0
"""Seconds that workers have for the tasks in hand where a Study is deleted."""


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """How the workers of a Study are scaled.

    Args:
        trouble: Why workers wait, or what could not be done; empty for nothing.
        reason: Of the last decision.
        is_ours: Whether it is this operator that decides; else another one knows.
    """

    trouble: str = ""
    reason: str = ""
    is_ours: bool = True


@dataclass(kw_only=True)
class StudyScalers:
    """The autoscalers of an operator, by the uid of the Study.

    Args:
        ledger: Where they decide.
        runner: Makes a runner; each thread has its own.
        lease: Seconds of each one's lease.
        scales: Whether there are any; else something else starts workers.
    """

    ledger: Ledger
    runner: Callable[[], KubernetesRunner]
    lease: float
    scales: bool = True
    _threads: dict[str, _Scaler] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ensure(self, uid: str, group: WorkerGroup, policy: Policy) -> Scaling:
        """Have this group scaled by this policy; says how that goes."""
        if not self.scales:
            return Scaling()
        with self._lock:
            scaler = self._threads.get(uid)
            if scaler is not None and scaler.group != group:
                scaler.stop()  # those of what the Study asked for before
            if scaler is None or not scaler.is_alive():
                failed = "" if scaler is None else scaler.failed
                scaler = _Scaler(self, group, policy, failed)
                self._threads[uid] = scaler
                scaler.start()
            scaler.follow(policy)
            return scaler.scaling()

    def end(self, uid: str) -> bool:
        """Have the workers of this Study leave; True once they have, or where there are none."""
        with self._lock:
            scaler = self._threads.get(uid)
            if scaler is None:
                return True
            scaler.stop()
            if scaler.is_alive():
                return False
            del self._threads[uid]
            return True

    def let_go(self) -> None:
        """End all of them, and leave the workers to another operator."""
        with self._lock:
            scalers: Mapping[str, _Scaler] = dict(self._threads)
            for scaler in scalers.values():
                scaler.let_go()
        for scaler in scalers.values():
            scaler.join()


class _Scaler(threading.Thread):
    """The thread of one autoscaler."""

    def __init__(
        self, scalers: StudyScalers, group: WorkerGroup, policy: Policy, failed: str
    ) -> None:
        super().__init__(name=f"scaler {group.key}", daemon=True)
        self.group = group
        self.failed = failed
        """Why it ended, or the one before it did; empty once the workers stay."""
        self._reason = ""
        self._scalers = scalers
        self._policy = policy
        self._loop: AutoscalerLoop | None = None
        self._is_asked = False
        self._lets_go = False

    def run(self) -> None:
        """Scale until asked to stop; an error is said, and the operator starts another."""
        try:
            with self._scalers.runner() as runner:
                self._loop = self._made(runner)
                if not self._is_asked:
                    self._loop.run()
        except FairleadError as error:
            self.failed = str(error)
            self._log(self.failed)

    def _made(self, runner: Runner) -> AutoscalerLoop:
        return AutoscalerLoop(
            name=self.group.key,
            holder=unique_name(),
            ledger=self._scalers.ledger,
            runner=runner,
            group=self.group,
            policy=self._policy,
            offer=None,
            lease=self._scalers.lease,
            drain=_DRAIN,
            on_decision=self._decided,
            note=self._log,
        )

    def scaling(self) -> Scaling:
        """How it goes."""
        if self._loop is None or not self._loop.is_holding:
            return Scaling(trouble=self.failed, is_ours=bool(self.failed))
        return Scaling(trouble=self._loop.trouble or self.failed, reason=self._reason)

    def _decided(self, decision: ScalingDecision) -> None:
        self.failed = self.failed if decision.start else ""
        self._reason = decision.reason
        self._log(decision.reason)

    def _log(self, text: str) -> None:
        _LOG.info("%s: %s", self.group.key, text)

    def follow(self, policy: Policy) -> None:
        """Decide by this policy from now on."""
        self._policy = policy
        if self._loop is not None:
            self._loop.policy = policy

    def stop(self) -> None:
        """Have the workers leave, and end."""
        self._is_asked = True
        if self._loop is not None and not self._loop.stop.after_task:
            self._loop.stop.ask()

    def let_go(self) -> None:
        """End, and leave the workers."""
        self._is_asked = True
        if self._loop is not None:
            self._loop.let_go()
