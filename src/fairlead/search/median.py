"""The median rule: when a trial is not worth the rest of its folds, or of its epochs.

The bounds travel with the trial; the worker compares its scores with them, fold by fold and, where
a fit has epochs, at the end of each epoch of the first fold. They follow from the results that the
trial may see, so that it does not matter how many workers there are.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fairlead.records import FIRST_JUDGED, Result, Trial
from fairlead.search.search import Search, visible

MIN_TRIALS = 10


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """Another search, whose trials are stopped by the median rule.

    Its trials look back even where the other search's do not: to know when to stop.

    Args:
        method: The other search.
        lag: How many trials before it a trial does not see.
        folds: Folds of a whole trial.
        greater_is_better: The metric's sign.
        known: Trials of this study that are in the ledger already.
    """

    method: Search
    lag: int
    folds: int
    greater_is_better: bool
    known: Sequence[Trial] = ()
    _families: dict[int, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._families.update((trial.number, trial.family) for trial in self.known)

    @property
    def size(self) -> int:
        """Number of trials."""
        return self.method.size

    @property
    def chunk(self) -> int:
        """As the other search has it."""
        return self.method.chunk

    def suggest(self, number: int, history: Sequence[Result]) -> Trial:
        """The other search's trial, with what it is stopped beyond."""
        seen = visible(history, number=number, lag=self.lag)
        trial = self.method.suggest(number, history)
        self._families[number] = trial.family
        return replace(
            trial,
            stop_beyond=thresholds(
                seen, folds=self.folds, greater_is_better=self.greater_is_better
            ),
            stop_beyond_epoch=epoch_thresholds(
                [
                    result
                    for result in seen
                    if result.curve and self._family(result.number, history) == trial.family
                ]
            ),
        )

    def _family(self, number: int, history: Sequence[Result]) -> str:
        """The family of an earlier trial: what it was drawn as, whoever drew it."""
        if number not in self._families:
            self._families[number] = self.method.suggest(number, history).family
        return self._families[number]


def thresholds(
    history: Sequence[Result], *, folds: int, greater_is_better: bool
) -> tuple[float, ...] | None:
    """Mean scores beyond which, on the worse side, a trial stops: one for each number of folds.

    The k-th is the median, over the trials that scored at least k folds, of the mean of their
    first k scores (the median stopping rule of Golovin et al., Google Vizier, 2017, with folds in
    place of steps).

    Args:
        history: The results that the trial may see.
        folds: Folds of a whole trial.
        greater_is_better: The metric's sign.

    Returns:
        Thresholds after 1 .. folds - 1 folds, or None before 10 trials were scored.
    """
    scored = [result.scores for result in history if result.state != "failed" and result.scores]
    if len(scored) < MIN_TRIALS:
        return None
    harmless = float("-inf") if greater_is_better else float("inf")
    return tuple(_median(scored, done, otherwise=harmless) for done in range(1, folds))


def _median(scored: Sequence[tuple[float, ...]], done: int, *, otherwise: float) -> float:
    means = [statistics.fmean(scores[:done]) for scores in scored if len(scores) >= done]
    return statistics.median(means) if means else otherwise


def epoch_thresholds(history: Sequence[Result]) -> tuple[float, ...] | None:
    """Scores beyond which, on the worse side, a trial stops at the end of an epoch.

    Each is the median of what the trials of the history scored at the end of that epoch, as long as
    10 of them came so far: epochs that fewer have reached stop nobody.

    Args:
        history: The results that the trial may see, of trials of its family.

    Returns:
        Thresholds of the epochs from `FIRST_JUDGED` on, or None where there are none.
    """
    curves = [result.curve for result in history if result.state != "failed"]
    lengths = sorted(map(len, curves), reverse=True)
    reached = lengths[MIN_TRIALS - 1] if len(lengths) >= MIN_TRIALS else 0
    bounds = tuple(
        statistics.median(curve[epoch - 1] for curve in curves if len(curve) >= epoch)
        for epoch in range(FIRST_JUDGED, reached + 1)
    )
    return bounds or None
