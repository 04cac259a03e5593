"""What this server observes of the steps of deployments, its own ones and those of other servers.

Each server counts the requests of a step from when it follows the step's route, and keeps the count
in the ledger, about once a second. Whoever carries the deployment out adds up what all have. So
nobody has to know when another server began, was started anew, or last reported before the step:
whatever is in the ledger was counted during it. A server that takes the deployment over in the
middle of a step adds what it counts from then on to what it had counted before: only its smoke test
in between is no traffic.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from fairlead.ledger.interface import Ledger
from fairlead.records import Deployment, Observed, StepObservation
from fairlead.server.canary import Baseline, CanaryMetrics
from fairlead.server.snapshot import ModelSnapshot

_PERIOD = 1.0
"""Seconds between two times that an observation is written."""


@dataclass(frozen=True, kw_only=True)
class _Begun:
    """A step that is observed."""

    began: tuple[int, int, float]  # deployment, step, and after when
    baseline: Baseline
    crashes: int  # of processes, before it
    earlier: StepObservation | None  # of the same step, before this server took it over


class StepObserver:
    """Observes steps of deployments.

    Args:
        ledger: Where observations go.
        server: Id of this server.
        metrics: What its processes count.
        clock: Seconds, monotonic; the one that `metrics` goes by.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        server: str,
        metrics: CanaryMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger, self._server = ledger, server
        self._metrics, self._clock = metrics, clock
        self._begun: dict[str, _Begun] = {}  # by model
        self._last: dict[str, StepObservation] = {}
        self._written: dict[str, float] = {}

    def observe(
        self, snapshot: ModelSnapshot, *, after: float, edges: tuple[float, ...], crashes: int
    ) -> StepObservation | None:
        """What the processes have counted of the step so far; now and then it is written, too.

        Args:
            snapshot: Of a model whose deployment is at a step that is judged.
            after: By the clock; requests until then do not belong to the step.
            edges: Between the bins that predictions are counted in.
            crashes: How many processes have crashed since the server began.

        Returns:
            None as long as not everything that was counted until then is known.

        Raises:
            Busy: Others kept it from being written.
        """
        assert snapshot.deployment is not None
        begun = self._begin(snapshot, after, crashes)
        if begun is None:
            return None
        model, deployment = snapshot.model, snapshot.deployment
        revisions = {*snapshot.before, deployment.revision}
        counted, seconds = self._metrics.since(begun.baseline, model, revisions)
        own = StepObservation(
            model=model,
            deployment=deployment.number,
            step=deployment.step,
            server=self._server,
            seconds=seconds,
            revisions=counted,
            edges=edges,
            crashes=crashes - begun.crashes,
        )
        self._last[model], observation = own, _joined(begun.earlier, own)
        if self._clock() - self._written.get(model, float("-inf")) >= _PERIOD:
            self._ledger.deployments.observe(observation)
            self._written[model] = self._clock()
        return observation

    def finish(self) -> None:
        """Write what was counted since the last time: this server ends.

        Raises:
            Busy: Others kept it from being written.
        """
        for model, last in self._last.items():
            begun = self._begun[model]
            counted, seconds = self._metrics.since(begun.baseline, model, last.revisions)
            own = replace(last, seconds=seconds, revisions=counted)
            self._ledger.deployments.observe(_joined(begun.earlier, own))

    def _begin(self, snapshot: ModelSnapshot, after: float, crashes: int) -> _Begun | None:
        """The step as it began; what was observed of another one is over."""
        assert snapshot.deployment is not None
        model = snapshot.model
        began = (snapshot.deployment.number, snapshot.deployment.step, after)
        known = self._begun.get(model)
        if known is not None and known.began == began:
            return known
        baseline = self._metrics.baseline(after=after)
        if baseline is None:
            return None
        self._written.pop(model, None)
        earlier = self._earlier(snapshot.deployment)
        begun = _Begun(began=began, baseline=baseline, crashes=crashes, earlier=earlier)
        self._begun[model] = begun
        return begun

    def _earlier(self, deployment: Deployment) -> StepObservation | None:
        """What was observed of the same step until it begins once more; None for nothing."""
        last = self._last.get(deployment.model)
        if last is None or (last.deployment, last.step) != (deployment.number, deployment.step):
            return None
        return _joined(self._begun[deployment.model].earlier, last)


def _joined(earlier: StepObservation | None, later: StepObservation) -> StepObservation:
    """Both together. Predictions that were counted over other edges before are left out."""
    if earlier is None:
        return later
    seen = later.revisions
    if earlier.edges == later.edges:
        before = earlier.revisions
    else:
        before = {name: replace(one, bins=()) for name, one in earlier.revisions.items()}
    return replace(
        later,
        seconds=earlier.seconds + later.seconds,
        revisions={name: before.get(name, Observed()) + one for name, one in seen.items()},
        crashes=earlier.crashes + later.crashes,
    )
