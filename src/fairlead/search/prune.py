"""When a trial is not worth its remaining folds.

Belongs here: the median rule, as a function of results. Does not: stopping, which the worker does.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from fairlead.records import Result

MIN_TRIALS = 10


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
