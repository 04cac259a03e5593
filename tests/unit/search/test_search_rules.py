"""What the median rule and the budget promise, as functions of results."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.metrics import METRICS
from fairlead.records import Result, Trial
from fairlead.search.median import Pruned, epoch_thresholds, thresholds
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


def learned(number: int, *curve: float) -> Result:
    return Result(number=number, state="done", scores=(1.0, 1.0), score=1.0, curve=curve)


def test_no_epoch_stops_a_trial_before_ten_have_come_so_far() -> None:
    history = [learned(n, 1.0, 2.0, 3.0) for n in range(9)]
    assert epoch_thresholds([*history, learned(9, 1.0)]) is None
    assert epoch_thresholds([*history, learned(9, 1.0, 2.0)]) == (2.0,)
    assert epoch_thresholds([*history, learned(9, 1.0, 2.0, 3.0)]) == (2.0, 3.0)


def test_a_threshold_of_an_epoch_is_the_median_of_those_who_came_so_far() -> None:
    history = [learned(n, 0.0, float(n), 10.0 + n) for n in range(11)]
    pruned = [
        Result(number=11 + n, state="pruned", reason="worse", curve=(0.0, 100.0)) for n in range(12)
    ]
    failed = [Result(number=23, state="failed", reason="out of memory")]
    assert epoch_thresholds(history) == (5.0, 15.0)
    assert epoch_thresholds([*history, *pruned, *failed]) == (100.0, 15.0)


class TwoFamilies:
    """Trials that take turns: the even ones are of one family, the odd ones of another."""

    size = 1000
    chunk = 1
    lag: int | None = None

    def __init__(self) -> None:
        self.asked: list[int] = []

    def suggest(self, number: int, history: Sequence[Result]) -> Trial:
        self.asked.append(number)
        return Trial(number=number, family="ab"[number % 2], params={})


def pruned_search(lag: int = 4, known: Sequence[Trial] = ()) -> Pruned:
    return Pruned(
        method=TwoFamilies(), lag=lag, folds=2, greater_is_better=False, known=tuple(known)
    )


def test_epochs_are_compared_with_those_of_the_same_family() -> None:
    history = [learned(n, 0.0, 100.0 * (n % 2) + n) for n in range(40)]
    search = pruned_search()
    assert search.suggest(40, history).stop_beyond_epoch == (statistics.median(range(0, 36, 2)),)
    assert search.suggest(41, history).stop_beyond_epoch == (
        statistics.median(100.0 + n for n in range(1, 37, 2)),
    )


curves = st.lists(st.lists(st.floats(-1e6, 1e6), max_size=4).map(tuple), min_size=50, max_size=50)


@given(curves=curves, lag=st.integers(0, 12), begin=st.integers(20, 49))
def test_bounds_follow_from_the_visible_results_whoever_asks_and_when(
    curves: list[tuple[float, ...]], lag: int, begin: int
) -> None:
    history = [learned(n, *curve) for n, curve in enumerate(curves)]
    one = pruned_search(lag)
    trials = [one.suggest(n, history[: n - lag] if n > lag else []) for n in range(50)]
    # Who goes on later has the trials from the ledger, and sees more results than are visible.
    again = pruned_search(lag, known=trials[:begin])
    assert [again.suggest(n, history) for n in range(begin, 50)] == trials[begin:]
    # Who asks for one trial alone knows no other.
    assert pruned_search(lag).suggest(49, history) == trials[49]


def test_no_trial_is_drawn_again_for_its_family_where_there_are_no_curves() -> None:
    search = pruned_search()
    search.suggest(40, [done(n, 1.0, 1.0) for n in range(40)])
    assert isinstance(search.method, TwoFamilies)
    assert search.method.asked == [40]


def test_a_search_stops_at_the_first_trial_in_order_that_is_as_good() -> None:
    results = [done(0, 9.0), Result(number=1, state="failed"), done(2, 3.0), done(3, 1.0)]
    assert reached(results, 3.0, METRICS["mse"]) == 2
    assert reached(results, 9.0, METRICS["r2"]) == 0
    assert reached(results, 0.5, METRICS["mse"]) is None
    assert reached(results, None, METRICS["mse"]) is None
