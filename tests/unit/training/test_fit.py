"""Scoring the trials of a task."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import KFold, cross_val_score

from fairlead.families import catalog
from fairlead.families.family import Family, Fitted
from fairlead.metrics import metric_for
from fairlead.records import Trial
from fairlead.training.fit import Fold, Recipe, score

RECIPE = Recipe(classes=None, metric=metric_for("mse", "regression"), seed=3, threads=1)
FOREST = catalog.family("random_forest", base=Path())
X = np.random.default_rng(0).normal(size=(60, 4))
Y = X @ [1.0, -2.0, 0.5, 0.0] + np.sin(3 * X[:, 0])


def folds() -> list[Fold]:
    return [
        Fold(x_train=X[a], y_train=Y[a], x_test=X[b], y_test=Y[b]) for a, b in KFold(3).split(X)
    ]


def trial(number: int, stop_beyond: tuple[float, ...] | None = None, **params: int) -> Trial:
    return Trial(number=number, family="random_forest", params=params, stop_beyond=stop_beyond)


def test_trials_that_share_a_fit_score_as_scikit_learn_scores_each() -> None:
    lengths = (5, 20, 10, 10)
    shared = score(
        [trial(n, n_estimators=k) for n, k in enumerate(lengths)],
        FOREST,
        lambda: iter(folds()),
        RECIPE,
    )
    for result, length in zip(shared, lengths, strict=True):
        model = RandomForestRegressor(n_estimators=length, random_state=3)
        own = -cross_val_score(model, X, Y, cv=3, scoring="neg_mean_squared_error")
        assert result.scores == tuple(own)
        assert result.score == np.mean(own)


def test_equal_trials_are_fitted_once_and_score_alike() -> None:
    one, other = score(
        [trial(0, max_depth=3), trial(1, max_depth=3)], FOREST, lambda: iter(folds()), RECIPE
    )
    assert one.scores == other.scores
    assert (one.number, other.number) == (0, 1)


def test_a_trial_worse_than_the_median_stops_and_says_so() -> None:
    [result] = score([trial(0, (0.0, 0.0), n_estimators=5)], FOREST, lambda: iter(folds()), RECIPE)
    assert result.state == "pruned"
    assert len(result.scores) == 1
    assert result.score is None
    assert "worse than the median" in str(result.reason)


def test_a_trial_as_good_as_the_median_goes_on() -> None:
    [alone] = score([trial(0, n_estimators=5)], FOREST, lambda: iter(folds()), RECIPE)
    bounds = (alone.scores[0], float(np.mean(alone.scores[:2])))
    [result] = score([trial(0, bounds, n_estimators=5)], FOREST, lambda: iter(folds()), RECIPE)
    assert result.state == "done"
    assert result.scores == alone.scores


class Endless:
    """A family's stand-in whose longer fits predict infinity."""

    def stage(self, params: Any) -> str:
        return "rounds"

    def build(self, *_: object, **__: object) -> None: ...
    def fit(self, *_: object, **__: object) -> Fitted:
        return Fitted(model=None)

    def predict(self, _fitted: Fitted, x: Any) -> Any:
        return np.full(len(x), np.inf)

    def stages(self, _fitted: Fitted, x: Any, at: Any) -> Any:
        return (np.full(len(x), np.inf if length > 5 else 0.0) for length in at)


def test_predictions_that_are_no_numbers_fail_the_trial_and_name_the_fold() -> None:
    [result] = score([trial(0)], cast("Family", Endless()), lambda: iter(folds()), RECIPE)
    assert result.state == "failed"
    assert result.reason == "fold 0: 20 predictions are not finite numbers"


def test_a_stage_whose_predictions_are_no_numbers_fails_alone() -> None:
    trials = [trial(number, rounds=length) for number, length in enumerate((5, 300))]
    short, long = score(trials, cast("Family", Endless()), lambda: iter(folds()), RECIPE)
    assert (short.state, len(short.scores)) == ("done", 3)
    assert (long.state, long.scores) == ("failed", ())


def test_what_an_estimator_draws_from_the_process_does_not_depend_on_what_was_before() -> None:
    import sklearn.linear_model

    class Noisy(sklearn.linear_model.Ridge):
        def predict(self, x: Any) -> Any:
            return super().predict(x) + np.random.rand(len(x))  # noqa: NPY002 - the point

    family = catalog.family("sklearn.linear_model:Ridge", base=Path())
    wrapped = cast("Any", family)

    class Wrapped:
        def __getattr__(self, name: str) -> Any:
            return getattr(wrapped, name)

        def build(self, *_: object, **__: object) -> Any:
            return Noisy()

    one = score([trial(0)], cast("Family", Wrapped()), lambda: iter(folds()), RECIPE)
    np.random.rand(7)  # noqa: NPY002 - another trial of this process drew
    other = score([trial(0)], cast("Family", Wrapped()), lambda: iter(folds()), RECIPE)
    assert one[0].scores == other[0].scores
