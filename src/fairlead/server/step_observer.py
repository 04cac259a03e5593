"""What this server observes of the steps of deployments, its own ones and those of other servers.

Each server counts the requests of a step from when it follows the step's route, and keeps the count
in the ledger, about once a second. Whoever carries the deployment out adds up what all have. So
nobody has to know when another server began, was started anew, or last reported before the step:
whatever is in the ledger was counted during it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from fairlead.ledger.interface import Ledger
from fairlead.records import StepObservation
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
        observation = StepObservation(
            model=model,
            deployment=deployment.number,
            step=deployment.step,
            server=self._server,
            seconds=seconds,
            revisions=counted,
            edges=edges,
            crashes=crashes - begun.crashes,
        )
        self._last[model] = observation
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
            baseline = self._begun[model].baseline
            counted, seconds = self._metrics.since(baseline, model, last.revisions)
            self._ledger.deployments.observe(replace(last, seconds=seconds, revisions=counted))

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
        self._begun[model] = begun = _Begun(began=began, baseline=baseline, crashes=crashes)
        return begun
