"""When a trial is not worth its remaining folds: the median rule.

The thresholds travel with the trial; the worker compares its scores with them, fold by fold.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fairlead.records import Result, Trial
from fairlead.search.search import Search, visible

MIN_TRIALS = 10


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """Another search, whose trials are stopped by the median rule.

    Its trials look back even where the other search's do not: to know when to stop.
    """

    method: Search
    lag: int
    folds: int
    greater_is_better: bool

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
        beyond = thresholds(seen, folds=self.folds, greater_is_better=self.greater_is_better)
        return replace(self.method.suggest(number, history), stop_beyond=beyond)


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
