"""What the median rule and the budget promise, as functions of results."""

from __future__ import annotations

import math

import pytest

from fairlead.metrics import METRICS
from fairlead.records import Result
from fairlead.search.catalog import thresholds
from fairlead.study.decide import reached


def done(number: int, *scores: float) -> Result:
    return Result(number=number, state="done", scores=scores, score=math.fsum(scores) / len(scores))


def test_nothing_is_pruned_before_ten_trials_were_scored() -> None:
    history = [done(n, 1.0, 1.0) for n in range(9)]
    failed = Result(number=9, state="failed", reason="out of memory")
    assert thresholds([*history, failed], folds=2, greater_is_better=False) is None
    assert thresholds([*history, done(9, 1.0, 1.0)], folds=2, greater_is_better=False) == (1.0,)


def test_a_threshold_is_the_median_of_the_means_so_far() -> None:
    history = [done(n, float(n), float(n) + 2, 0.0) for n in range(11)]
    assert thresholds(history, folds=3, greater_is_better=False) == (5.0, 6.0)


def test_pruned_trials_count_for_the_folds_they_had() -> None:
    history = [done(n, 1.0, 3.0) for n in range(10)]
    pruned = [Result(number=10 + n, state="pruned", scores=(9.0,)) for n in range(11)]
    assert thresholds([*history, *pruned], folds=3, greater_is_better=False) == (9.0, 2.0)


@pytest.mark.parametrize(("greater_is_better", "harmless"), [(True, -math.inf), (False, math.inf)])
def test_a_fold_that_nobody_has_scored_stops_nobody(
    greater_is_better: bool,  # noqa: FBT001 - pytest gives it by its name
    harmless: float,
) -> None:
    history = [Result(number=n, state="pruned", scores=(1.0,)) for n in range(10)]
    assert thresholds(history, folds=3, greater_is_better=greater_is_better) == (1.0, harmless)


def test_a_search_stops_at_the_first_trial_in_order_that_is_as_good() -> None:
    results = [done(0, 9.0), Result(number=1, state="failed"), done(2, 3.0), done(3, 1.0)]
    assert reached(results, 3.0, METRICS["mse"]) == 2
    assert reached(results, 9.0, METRICS["r2"]) == 0
    assert reached(results, 0.5, METRICS["mse"]) is None
    assert reached(results, None, METRICS["mse"]) is None
