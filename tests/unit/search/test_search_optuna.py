"""What random search and TPE promise: the same trials, whoever asks and however often."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.errors import InvalidSpec
from fairlead.families import catalog
from fairlead.records import Result, Trial
from fairlead.search.catalog import search_for
from fairlead.search.search import Search
from fairlead.spec.document import Spec

FOREST: dict[str, Any] = {
    "family": "forest",
    "params": {
        "depth": [None, 3, 10],
        "estimators": {"low": 50, "high": 400},
        "features": ["sqrt", 1, 1.0, True, 0.5],
        "leaf": {"low": 1, "high": 64, "log": True},
        "share": {"low": 0.1, "high": 0.9, "step": 0.1},
        "seed": 7,
    },
}
BOOSTER: dict[str, Any] = {
    "family": "booster",
    "params": {"rate": {"low": 1e-3, "high": 1.0, "log": True}, "depth": {"low": 2, "high": 12}},
}
LINEAR: dict[str, Any] = {"family": "linear", "params": {}}


def make(
    *over: dict[str, Any],
    known: Sequence[Trial] = (),
    greater_is_better: bool = False,
    **search: Any,
) -> Search:
    document = {"name": "x", "data": {"source": "boston"}, "search": {"over": over, **search}}
    return search_for(
        Spec.model_validate(document),
        {},
        task="regression",
        greater_is_better=greater_is_better,
        known=known,
    )


def result(trial: Trial, *, folds: int = 3) -> Result:
    """Some score of the trial; some trials fail, some are pruned."""
    rng = random.Random(repr(trial.params))
    scores = tuple(rng.random() + trial.params.get("rate", 0.5) for _ in range(folds))
    if rng.random() < 0.1:
        return Result(number=trial.number, state="failed", reason="because")
    if rng.random() < 0.2:
        return Result(number=trial.number, state="pruned", scores=scores[:1])
    return Result(number=trial.number, state="done", scores=scores, score=sum(scores) / folds)


def run(search: Search, *, until: int) -> list[Trial]:
    """The trials of a search in which each is asked with the whole history before it."""
    trials: list[Trial] = []
    history: list[Result] = []
    for number in range(until):
        trials.append(search.suggest(number, history))
        history.append(result(trials[-1]))
    return trials


METHODS = pytest.mark.parametrize("method", ["random", "tpe"])


@METHODS
def test_two_searches_of_one_spec_are_equal_and_another_seed_is_another_search(method: str) -> None:
    first = run(make(FOREST, BOOSTER, method=method, seed=3), until=40)
    assert first == run(make(FOREST, BOOSTER, method=method, seed=3), until=40)
    assert first != run(make(FOREST, BOOSTER, method=method, seed=4), until=40)


@METHODS
def test_more_trials_extend_the_same_sequence(method: str) -> None:
    short, long = make(BOOSTER, method=method, trials=20), make(BOOSTER, method=method, trials=60)
    assert (short.size, long.size) == (20, 60)
    assert run(short, until=20) == run(long, until=60)[:20]


@settings(max_examples=15, deadline=None)
@given(data=st.data(), lag=st.integers(0, 9), prune=st.sampled_from([None, "median"]))
def test_any_number_of_workers_finishing_in_any_order_gives_the_same_trials(
    data: st.DataObject, lag: int, prune: str | None
) -> None:
    spec = {"method": "tpe", "lag": lag, "prune": prune, "folds": 3}
    expected = run(make(FOREST, BOOSTER, **spec), until=30)
    search = make(FOREST, BOOSTER, **spec)
    workers = data.draw(st.integers(1, 8))
    trials: list[Trial] = []
    finished: dict[int, Result] = {}
    while len(finished) < 30:
        history = [finished[number] for number in range(complete(finished))]
        while len(trials) < min(30, len(history) + lag + 1):
            trials.append(search.suggest(len(trials), history))
        running = [trial for trial in trials if trial.number not in finished][:workers]
        done = data.draw(st.sampled_from(running))
        finished[done.number] = replace(result(done), seconds=data.draw(st.floats(0, 9)))
        if data.draw(st.integers(0, 9)) == 0:  # the coordinator is killed and starts again
            known = data.draw(st.sampled_from([(), tuple(trials)]))
            search = make(FOREST, BOOSTER, known=known, **spec)
    assert trials == expected


def complete(finished: dict[int, Result]) -> int:
    """How many of the first trials are finished, without a gap."""
    return next(number for number in range(len(finished) + 1) if number not in finished)


def test_results_within_the_lag_do_not_matter() -> None:
    search = make(FOREST, BOOSTER, method="tpe", lag=5)
    history = [result(trial) for trial in run(search, until=30)]
    trial = search.suggest(30, history)
    told_nothing_of_them = [
        *history[:25],
        *(Result(number=n, state="failed") for n in range(25, 30)),
    ]
    assert search.suggest(30, told_nothing_of_them) == trial
    assert search.suggest(30, history[:25]) == trial


def test_results_before_the_lag_do_matter_and_an_earlier_question_has_its_earlier_answer() -> None:
    search = make(BOOSTER, method="tpe", lag=0)
    history = [result(trial) for trial in run(search, until=30)]
    trial = search.suggest(29, history)
    others = [
        replace(old, state="done", score=float(index), scores=(float(index),))
        for index, old in enumerate(history)
    ]
    assert search.suggest(29, others) != trial
    assert search.suggest(29, history) == trial
    assert search.suggest(3, history) == run(make(BOOSTER, method="tpe", lag=0), until=4)[3]


def test_seconds_and_attempts_teach_nothing() -> None:
    search = make(BOOSTER, method="tpe")
    history = [result(trial) for trial in run(search, until=30)]
    other = [replace(old, seconds=9.0, attempts=4, reason="slow") for old in history]
    assert search.suggest(29, other) == search.suggest(29, history)


def test_known_trials_are_taken_from_the_ledger_even_where_a_family_appears_twice() -> None:
    over = (FOREST, BOOSTER, BOOSTER, LINEAR, LINEAR)
    trials = run(make(*over, method="tpe"), until=40)
    assert run(make(*over, method="tpe", known=trials[:33]), until=40) == trials


@METHODS
def test_a_trial_has_the_parameters_of_its_family_sorted_by_name(method: str) -> None:
    trials = run(make(FOREST, LINEAR, BOOSTER, method=method), until=60)
    names = {trial.family: list(trial.params) for trial in trials}
    assert names == {
        "forest": ["depth", "estimators", "features", "leaf", "seed", "share"],
        "booster": ["depth", "rate"],
        "linear": [],
    }


@METHODS
def test_values_are_those_of_the_spec_in_their_types(method: str) -> None:
    trials = [trial.params for trial in run(make(FOREST, method=method), until=150)]
    seen = {name: {repr(params[name]) for params in trials} for name in trials[0]}
    assert seen["depth"] == {"None", "3", "10"}
    assert seen["features"] == {"'sqrt'", "1", "1.0", "True", "0.5"}
    assert seen["seed"] == {"7"}
    assert seen["share"] <= {"0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9"}
    assert all(type(p["estimators"]) is int and 50 <= p["estimators"] <= 400 for p in trials)
    assert all(type(p["leaf"]) is int and 1 <= p["leaf"] <= 64 for p in trials)


def test_random_search_covers_steps_and_ends_evenly_and_a_log_range_by_its_logarithm() -> None:
    trials = [trial.params for trial in run(make(FOREST, method="random"), until=900)]
    shares = [params["share"] for params in trials]
    assert all(60 < shares.count(value) < 145 for value in set(shares))
    assert len(set(shares)) == 9
    assert 350 < sum(params["leaf"] <= 8 for params in trials) < 600


@pytest.mark.parametrize("greater_is_better", [False, True])
def test_tpe_goes_where_the_metric_is_better(greater_is_better: bool) -> None:  # noqa: FBT001 - pytest gives it by its name
    search = make(BOOSTER, method="tpe", lag=4, greater_is_better=greater_is_better)
    history: list[Result] = []
    rates: list[float] = []
    for number in range(60):
        rates.append(search.suggest(number, history).params["rate"])
        score = rates[-1]
        history.append(Result(number=number, state="done", score=score, scores=(score,)))
    late = sorted(rates[30:])[15]
    assert late > 0.4 if greater_is_better else late < 0.01


@pytest.mark.parametrize("score", [float("nan"), None])
def test_a_score_that_is_no_number_counts_as_failed(score: float | None) -> None:
    bad = [Result(number=n, state="done", score=score) for n in range(20)]
    failed = [Result(number=n, state="failed") for n in range(20)]
    search = make(BOOSTER, method="tpe", lag=0)
    assert search.suggest(20, bad) == make(BOOSTER, method="tpe", lag=0).suggest(20, failed)


@METHODS
def test_a_study_with_nothing_to_draw_still_has_its_trials(method: str) -> None:
    search = make(LINEAR, method=method, trials=30)
    assert {repr(trial.params) for trial in run(search, until=30)} == {"{}"}


def test_only_methods_that_learn_have_a_lag() -> None:
    grid = {"family": "f", "params": {"a": [1, 2]}}
    lags = {method: make(grid, method=method).lag for method in ("grid", "random", "tpe")}
    assert lags == {"grid": None, "random": None, "tpe": 8}
    assert make(grid, method="random", prune="median", lag=5).lag == 5
    assert make(grid, method="grid", prune="median").size == 2


def test_a_family_without_params_is_searched_over_its_own_ranges() -> None:
    spec = {
        "name": "x",
        "data": {"source": "boston"},
        "search": {"over": [{"family": "random_forest"}], "method": "random"},
    }
    forest = catalog.family("random_forest", base=Path())
    search = search_for(
        Spec.model_validate(spec),
        {"random_forest": forest},
        task="regression",
        greater_is_better=False,
    )
    assert set(search.suggest(0, []).params) == set(forest.space("regression"))


def test_a_pruned_search_has_the_same_parameters_and_knows_when_to_stop() -> None:
    plain = make(BOOSTER, method="random", folds=3)
    pruned = make(BOOSTER, method="random", folds=3, prune="median", lag=2)
    assert (pruned.size, pruned.chunk) == (plain.size, plain.chunk)
    history = [done(number, 0.0, 2.0, 4.0) for number in range(20)]
    trials = [pruned.suggest(number, history) for number in range(20)]
    assert [trial.params for trial in trials] == [plain.suggest(n, []).params for n in range(20)]
    assert [trial.stop_beyond for trial in trials] == [None] * 12 + [(0.0, 1.0)] * 8


def lesson(near: float, stopped: Callable[[Trial], Result]) -> float:
    """How far from a rate the next trials of a search are that has seen only pruned ones.

    Those with a rate near it are told of as any that is pruned between folds, after a whole fold;
    all others as `stopped` says.
    """
    search = make(BOOSTER, method="tpe", seed=5, lag=0)
    history: list[Result] = []
    distances = []
    for number in range(60):
        trial = search.suggest(number, history)
        distance = abs(math.log(cast("float", trial.params["rate"]) / near))
        distances.append(distance)
        one = Result(number=number, state="pruned", scores=(1.0,))
        history.append(one if distance < 1.0 else stopped(trial))
    return statistics.fmean(distances[30:])


def test_a_trial_that_did_not_end_its_first_fold_came_less_far_than_any_that_did() -> None:
    def early(trial: Trial) -> Result:
        return Result(number=trial.number, state="pruned", curve=(0.0,) * 1000)

    def late(trial: Trial) -> Result:
        return Result(number=trial.number, state="pruned", scores=(0.0, 0.0), curve=(0.0,) * 5)

    assert lesson(0.05, early) < lesson(0.05, late)


def done(number: int, *scores: float) -> Result:
    return Result(number=number, state="done", scores=scores, score=sum(scores) / len(scores))


def test_fifty_trials_where_the_spec_does_not_say() -> None:
    assert make(BOOSTER, method="tpe").size == make(BOOSTER, method="random").size == 50


@pytest.mark.parametrize(
    "bounds",
    [
        {"low": 0, "high": 2**60},
        {"low": -1e308, "high": 1e308},
        {"low": 0.0, "high": 1.0, "step": 1e-17},
    ],
)
def test_a_range_that_floats_cannot_resolve_is_refused(bounds: dict[str, float]) -> None:
    with pytest.raises(InvalidSpec, match=r"^search\.over\[0\]\.params\.x: it cannot be drawn"):
        make({"family": "f", "params": {"x": bounds}}, method="random")


def test_a_history_with_a_gap_is_refused() -> None:
    search = make(BOOSTER, method="tpe", lag=2)
    with pytest.raises(ValueError, match="looks at the results of trials up to 2"):
        search.suggest(5, [Result(number=0, state="failed")])
    with pytest.raises(ValueError, match="in trial order is of trial 7"):
        search.suggest(3, [Result(number=7, state="failed")])
