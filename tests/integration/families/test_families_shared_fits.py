"""A fit that serves several trials gives each the score of a fit of its own, to the last bit.

Judged against the library's own estimators through scikit-learn's cross_val_score, on real data.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.datasets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score

from fairlead.families import catalog
from fairlead.families.family import Family
from fairlead.metrics import METRICS

EXAMPLES = Path(__file__).parents[3] / "examples" / "data"
LENGTHS = [2, 5, 11, 24]
ROUNDS = {"catboost": "iterations"}


def _boston() -> Any:
    values = np.array((EXAMPLES / "boston.data").read_text().split(), dtype=float)
    table = values.reshape(-1, 14)
    return np.ascontiguousarray(table[:, :-1]), table[:, -1].copy(), None


def _california() -> Any:
    import csv
    import io
    import tarfile

    with tarfile.open(EXAMPLES / "california.tgz") as archive:
        member = archive.extractfile("housing/housing.csv")
        assert member is not None
        rows = list(csv.reader(io.TextIOWrapper(member)))[1:2001]
    table = np.array([row[:4] + row[5:9] for row in rows if row[4]], dtype=float)
    return np.ascontiguousarray(table[:, :-1]), table[:, -1].copy(), None


def _digits() -> Any:
    x, y = sklearn.datasets.load_digits(return_X_y=True)
    return x[:500], y[:500].astype(np.int64), 10


def _cancer() -> Any:
    x, y = sklearn.datasets.load_breast_cancer(return_X_y=True)
    return x, y.astype(np.int64), 2


def _handful() -> Any:
    """So few rows that some rounds find nothing to split."""
    x, y, _ = _boston()
    return x[::11], y[::11], None


DATA = {
    "boston": _boston(),
    "california": _california(),
    "digits": _digits(),
    "cancer": _cancer(),
    "handful": _handful(),
}
SAMPLES = {
    "random_forest": {
        "max_depth": [None, 4],
        "min_samples_split": [2, 7],
        "min_samples_leaf": [1, 4],
        "max_features": [1.0, "sqrt", 0.4],
        "bootstrap": [True],
        "max_samples": [None, 0.5],
        "max_leaf_nodes": [None, 12],
        "ccp_alpha": [0.0, 0.01],
    },
    "extra_trees": {
        "max_depth": [None, 4],
        "min_samples_leaf": [1, 4],
        "max_features": [1.0, "sqrt", 0.4],
        "bootstrap": [True, False],
        "max_leaf_nodes": [None, 12],
    },
    "xgboost": {
        "tree_method": ["hist", "approx", "exact"],
        "subsample": [1.0, 0.6],
        "colsample_bytree": [1.0, 0.5],
        "colsample_bylevel": [1.0, 0.7],
        "max_depth": [2, 6],
        "num_parallel_tree": [1, 3],
        "learning_rate": [0.05, 0.3],
        "min_child_weight": [1, 5],
        "reg_alpha": [0, 1.0],
        "reg_lambda": [1.0, 10.0],
        "gamma": [0, 0.5],
        "max_delta_step": [0, 1.0],
        "scale_pos_weight": [1.0, 2.0],
    },
    "lightgbm": {
        "boosting_type": ["gbdt"],
        "subsample": [1.0, 0.6, 0.95],
        "subsample_freq": [0, 1, 3],
        "colsample_bytree": [1.0, 0.5],
        "num_leaves": [31, 5],
        "min_child_samples": [20, 5, 13],
        "learning_rate": [0.1, 0.3],
        "extra_trees": [False, True],
        "path_smooth": [0, 1.0],
        "min_split_gain": [0.0, 0.5, 5.0],
        "feature_fraction_bynode": [1.0, 0.5],
        "max_bin": [255, 15],
    },
    "catboost": {
        "learning_rate": [0.03, 0.3],
        "depth": [2, 5],
        "rsm": [1.0, 0.5],
        "random_strength": [1.0, 3.0],
        "l2_leaf_reg": [3.0, 10.0],
        "boosting_type": ["Plain", "Ordered"],
        "bootstrap_type": ["Bernoulli", "MVS"],
        "subsample": [0.6, 0.9],
        "leaf_estimation_method": ["Gradient"],
        "leaf_estimation_iterations": [1, 4],
        "border_count": [16, 254],
    },
}
ALONE = [
    ("xgboost", {"grow_policy": "lossguide", "max_leaves": 8, "max_bin": 16}),
    ("xgboost", {"colsample_bynode": 0.6, "base_score": 0.4}),
    ("lightgbm", {"data_sample_strategy": "goss", "learning_rate": 0.3, "top_rate": 0.3}),
    ("lightgbm", {"boosting_type": "goss", "learning_rate": 0.3}),
    ("catboost", {"learning_rate": 0.2, "grow_policy": "Lossguide", "max_leaves": 8}),
    ("catboost", {"eta": 0.2, "grow_policy": "Depthwise", "min_data_in_leaf": 5}),
    ("catboost", {"learning_rate": 0.2, "bootstrap_type": "Bayesian", "bagging_temperature": 2.0}),
    ("random_forest", {"criterion": "poisson"}),
    ("random_forest", {"bootstrap": False, "max_features": 0.5}),
]


def _folds(y: Any, classes: int | None) -> Any:
    kind = KFold if classes is None else StratifiedKFold
    return list(kind(n_splits=3).split(np.zeros(len(y)), y))


def _scorer(classes: int | None) -> Any:
    return "neg_mean_squared_error" if classes is None else "neg_log_loss"


def _score(true: Any, predicted: Any, classes: int | None) -> float:
    return -METRICS["mse" if classes is None else "log_loss"].score(true, predicted)


def _shared(family: Family, params: Mapping[str, Any], data: Any) -> Any:
    """Scores [lengths, folds] of one fit for all lengths."""
    x, y, classes = data
    task = "regression" if classes is None else "classification"
    scores = []
    for train, test in _folds(y, classes):
        fitted = family.fit(
            family.build(params, task, seed=5, threads=1), x[train], y[train], classes=classes
        )
        stages = family.stages(fitted, x[test], LENGTHS)
        scores.append([_score(y[test], predicted, classes) for predicted in stages])
    return np.array(scores).T


def _separate(family: Family, params: Mapping[str, Any], rounds: str, data: Any) -> Any:
    """The same by cross_val_score, each length by itself."""
    x, y, classes = data
    task = "regression" if classes is None else "classification"
    return np.array(
        [
            cross_val_score(
                family.build({**params, rounds: length}, task, seed=5, threads=1),
                x,
                y,
                cv=_folds(y, classes),
                scoring=_scorer(classes),
                error_score="raise",
            )
            for length in LENGTHS
        ]
    )


def _assert_shared_as_separate(name: str, params: Mapping[str, Any], data: Any) -> None:
    family = catalog.family(name, base=Path())
    rounds = ROUNDS.get(name, "n_estimators")
    longest = {**params, rounds: LENGTHS[-1]}
    assert family.stage(longest) == rounds
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        assert np.array_equal(
            _shared(family, longest, data), _separate(family, params, rounds, data)
        )


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("data", DATA)
def test_the_defaults_are_shared_to_the_last_bit(name: str, data: Any) -> None:
    params = {"learning_rate": 0.1} if name == "catboost" else {}
    _assert_shared_as_separate(name, params, DATA[data])


@pytest.mark.parametrize(
    ("name", "params", "data"),
    [
        (name, params, data)
        for name, params in ALONE
        for data in ("boston", "cancer")
        if (params.get("criterion"), data) != ("poisson", "cancer")  # a criterion of regression
    ],
)
def test_what_goes_with_nothing_else_is_shared_to_the_last_bit(
    name: str, params: Mapping[str, Any], data: Any
) -> None:
    _assert_shared_as_separate(name, params, DATA[data])


@pytest.mark.parametrize("name", SAMPLES)
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(draw=st.data())
def test_any_parameters_are_shared_to_the_last_bit(name: str, draw: st.DataObject) -> None:
    params = {
        key: draw.draw(st.sampled_from(values), label=key) for key, values in SAMPLES[name].items()
    }
    data = draw.draw(st.sampled_from(sorted(DATA)), label="data")
    _assert_shared_as_separate(name, params, DATA[data])


def test_a_round_of_lightgbm_that_adds_no_tree_does_not_shift_the_others() -> None:
    x, y, _ = DATA["handful"]
    params = {"min_child_samples": 13, "subsample": 0.6, "subsample_freq": 1, "min_split_gain": 200}
    family = catalog.family("lightgbm", base=Path())
    build = family.build({**params, "n_estimators": 40}, "regression", seed=5, threads=1)
    fitted = family.fit(build, x, y, classes=None)
    grown = np.diff(fitted.model.lengths)
    assert (grown == 0).any(), "the case: some rounds add nothing"
    for length, predicted in zip(LENGTHS, family.stages(fitted, x, LENGTHS), strict=True):
        alone = family.build({**params, "n_estimators": length}, "regression", seed=5, threads=1)
        assert np.array_equal(predicted, alone.fit(x, y).predict(x))


@pytest.mark.parametrize("name", ["random_forest", "extra_trees"])
@pytest.mark.parametrize("leaf", [2, 5])
@pytest.mark.parametrize("more", [{}, {"max_leaf_nodes": 20}, {"max_features": 0.5}])
def test_min_samples_split_below_two_leaves_fits_the_same_forest(
    name: str, leaf: Any, more: Mapping[str, Any]
) -> None:
    x, y, _ = DATA["boston"]
    family = catalog.family(name, base=Path())
    given_ = {"n_estimators": 10, "min_samples_leaf": leaf, "min_samples_split": 2, **more}
    rewritten = family.canonical(given_)
    assert rewritten != given_
    one, other = (
        family.build(params, "regression", seed=5, threads=1).fit(x, y).predict(x)
        for params in (given_, rewritten)
    )
    assert np.array_equal(one, other)


@pytest.mark.parametrize("name", ["random_forest", "extra_trees"])
def test_forests_keep_to_one_thread_whatever_the_spec_says(name: str) -> None:
    family = catalog.family(name, base=Path())
    assert family.build({}, "regression", seed=0, threads=8).n_jobs == 1
