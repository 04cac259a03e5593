"""Every objective of the boosters, and scikit-learn's log links: exported with it, or refused."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairlead.data.features import Features
from fairlead.errors import InvalidSpec, Unexportable
from fairlead.families import catalog
from fairlead.families.family import Fitted
from fairlead.inference import Exported
from fairlead.records import Column, Signature
from fairlead.spec.document import Data
from fairlead.training.export import export, parity
from fairlead.training.prepare import Preparation

ROWS = 400
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 3)).astype(np.float32).astype(float)
AMOUNTS = RNG.poisson(np.exp(0.4 * X[:, 0] + 2)) + 0.5
SHARES = 1 / (1 + np.exp(-X[:, 0] - 0.3 * RNG.normal(size=ROWS)))
TARGETS = {
    "amounts": (AMOUNTS, None),
    "shares": (SHARES, None),
    "bits": ((X[:, 0] + 0.5 * RNG.normal(size=ROWS) > 0).astype(float), None),
    "two": ((X[:, 0] > 0).astype(np.int64), 2),
    "three": (np.digitize(X[:, 0], [-0.5, 0.5]), 3),
}
FEATURES = Features(numbers=X, text=np.empty((ROWS, 0), np.int32))
XGBOOST = {
    "amounts": (
        "reg:squarederror reg:squaredlogerror reg:absoluteerror "
        "reg:quantileerror count:poisson reg:gamma reg:tweedie rank:pairwise"
    ),
    "shares": "reg:pseudohubererror reg:logistic binary:logistic binary:logitraw reg:tweedie",
    "two": "binary:logistic binary:hinge reg:logistic",
    "three": "multi:softprob multi:softmax reg:squarederror",
}
LIGHTGBM = {
    "amounts": (
        "regression l2 mse rmse regression_l1 mae huber fair quantile mape poisson gamma tweedie"
    ),
    "shares": "cross_entropy xentropy cross_entropy_lambda xentlambda tweedie",
    "bits": "binary",
    "two": "binary cross_entropy xentropy",
    "three": "multiclass softmax multiclassova ova",
}
CATBOOST = {
    "amounts": (
        "RMSE MultiRMSE MAE LogCosh Quantile Quantile:alpha=0.3 Expectile:alpha=0.3 "
        "LogLinQuantile MAPE Poisson Huber:delta=1 Lq:q=3 Tweedie:variance_power=1.5"
    ),
    "shares": "RMSE Poisson Tweedie:variance_power=1.2",
    "two": "Logloss CrossEntropy Focal:focal_alpha=0.5;focal_gamma=2 MultiClass MultiClassOneVsAll",
    "three": "MultiClass MultiClassOneVsAll",
}
BOOSTING = "sklearn.ensemble:HistGradientBoostingRegressor"
Case = tuple[str, str, dict[str, Any]]


def cases(family: str, key: str, of: dict[str, str], **also: Any) -> list[Case]:
    return [
        (family, target, {key: objective, **also})
        for target, objectives in of.items()
        for objective in objectives.split()
    ]


CASES = [
    *cases("xgboost", "objective", XGBOOST, n_estimators=10, quantile_alpha=0.5),
    *cases("lightgbm", "objective", LIGHTGBM, n_estimators=10),
    *cases("catboost", "loss_function", CATBOOST, iterations=10),
    ("lightgbm", "amounts", {"n_estimators": 10, "reg_sqrt": True}),
    ("lightgbm", "bits", {"n_estimators": 10, "objective": "binary", "sigmoid": 2.0}),
    ("lightgbm", "two", {"n_estimators": 10, "sigmoid": 2.0}),
    ("lightgbm", "three", {"n_estimators": 10, "objective": "ova", "sigmoid": 0.5}),
    ("xgboost", "shares", {"n_estimators": 10, "objective": "reg:logistic", "base_score": 0.2}),
    *[
        (BOOSTING, "amounts", {"max_iter": 10, "loss": loss})
        for loss in ("squared_error", "absolute_error", "poisson", "gamma")
    ],
    ("sklearn.linear_model:PoissonRegressor", "amounts", {}),
    ("sklearn.linear_model:GammaRegressor", "amounts", {}),
]


def signature(target: str) -> Signature:
    classes = TARGETS[target][1]
    columns = tuple(Column(name=name, kind="number") for name in "abc")
    labels = None if classes is None else tuple(range(classes))
    return Signature(columns=columns, target="y", classes=labels)


def fitted(name: str, target: str, params: dict[str, Any], rows: Any = slice(None)) -> Fitted:
    family, (y, classes) = catalog.family(name, base=Path()), TARGETS[target]
    task = "regression" if classes is None else "classification"
    estimator = family.build(params, task, seed=0, threads=1)
    return family.fit(estimator, X[rows], y[rows], classes=classes)


def exported(name: str, target: str, model: Fitted) -> Exported:
    preparation = Preparation.fit(FEATURES, Data(source="x"))
    family, described = catalog.family(name, base=Path()), signature(target)
    return Exported(export(preparation, family, model, described), described)


@cache
def _standard(name: str, target: str, params: tuple[tuple[str, Any], ...]) -> Fitted:
    return fitted(name, target, dict(params))


@pytest.fixture(params=CASES, ids=lambda case: "-".join(map(str, (*case[:2], *case[2].values()))))
def case(request: pytest.FixtureRequest) -> tuple[str, str, Fitted]:
    name, target, params = request.param
    return name, target, _standard(name, target, tuple(params.items()))


def test_the_exported_form_predicts_what_the_booster_does(case: tuple[str, str, Fitted]) -> None:
    name, target, model = case
    y, classes = TARGETS[target]
    trained = catalog.family(name, base=Path()).predict(model, X)
    found = exported(name, target, model).predict(FEATURES)
    verdict = parity(trained, found, spread=None if classes else float(y.std()))
    assert verdict.passed, verdict
    assert np.ptp(trained) > 0, "it learnt something"


def test_a_row_is_predicted_the_same_bits_alone_and_among_others(
    case: tuple[str, str, Fitted],
) -> None:
    model = exported(case[0], case[1], case[2])
    whole = model.predict(FEATURES)
    for rows in (np.arange(1), np.arange(7), np.arange(3, 70)):
        assert np.array_equal(model.predict(FEATURES.take(rows)), whole[rows])


def test_what_is_saved_predicts_and_is_exported_as_before(case: tuple[str, str, Fitted]) -> None:
    name, target, model = case
    family = catalog.family(name, base=Path())
    again = family.load(family.save(model), classes=TARGETS[target][1])
    assert np.array_equal(family.predict(again, X), family.predict(model, X))
    assert family.onnx(again, width=3) == family.onnx(model, width=3)


def test_a_class_that_the_rows_lack_has_no_probability_under_another_link() -> None:
    for name, params in (
        ("lightgbm", {"n_estimators": 5, "objective": "binary", "sigmoid": 2.0}),
        ("catboost", {"iterations": 5, "loss_function": "MultiClassOneVsAll"}),
    ):
        model = fitted(name, "three", params, TARGETS["three"][0] != 1)
        found = exported(name, "three", model).predict(FEATURES)
        trained = catalog.family(name, base=Path()).predict(model, X)
        assert not found[:, 1].any()
        assert parity(trained, found, spread=None).passed


REFUSED = [
    ("xgboost", "amounts", {"objective": "binary:hinge"}, "no ONNX form for amounts"),
    ("xgboost", "amounts", {"booster": "dart"}, "booster 'dart'"),
    ("xgboost", "two", {"objective": "reg:squarederror"}, "gives no probabilities"),
    ("xgboost", "two", {"objective": "binary:logitraw"}, "gives no probabilities"),
    ("xgboost", "two", {"objective": "count:poisson"}, "gives no probabilities"),
    ("lightgbm", "two", {"objective": "regression"}, "gives no probabilities"),
    ("lightgbm", "two", {"objective": "poisson"}, "gives no probabilities"),
    ("lightgbm", "two", {"objective": "xentlambda"}, "gives no probabilities"),
    ("lightgbm", "amounts", {"linear_tree": True}, "linear_tree"),
    (
        "lightgbm",
        "amounts",
        {"boosting_type": "rf", "subsample": 0.5, "subsample_freq": 1},
        "trees are averaged",
    ),
    ("catboost", "amounts", {"loss_function": "RMSEWithUncertainty"}, "several amounts for a row"),
    ("catboost", "amounts", {"objective": "MultiQuantile:alpha=0.1,0.9"}, "several amounts for a"),
    ("catboost", "two", {"loss_function": "MultiLogloss"}, "a label of its own"),
    ("catboost", "two", {"objective": "MultiCrossEntropy"}, "a label of its own"),
]


@pytest.mark.parametrize(("name", "target", "params", "why"), REFUSED)
def test_what_has_no_exported_form_is_known_before_a_fit_and_refused_after_it(
    name: str, target: str, params: dict[str, Any], why: str
) -> None:
    family = catalog.family(name, base=Path())
    task = "regression" if TARGETS[target][1] is None else "classification"
    assert why in (family.unexportable(params, task) or "")
    with pytest.raises(Unexportable, match=why):
        exported(name, target, fitted(name, target, {"n_estimators": 5, **params}))


@pytest.mark.parametrize(("name", "target", "params"), CASES)
def test_what_has_an_exported_form_is_not_refused_before_a_fit(
    name: str, target: str, params: dict[str, Any]
) -> None:
    task = "regression" if TARGETS[target][1] is None else "classification"
    if target != "three" or name != "xgboost":  # it takes multi:softprob in place of any other
        assert catalog.family(name, base=Path()).unexportable(params, task) is None


@pytest.mark.parametrize("loss", ["RMSEWithUncertainty", "MultiQuantile:alpha=0.1,0.9"])
def test_a_loss_of_several_amounts_is_refused_since_nothing_can_score_them(loss: str) -> None:
    family = catalog.family("catboost", base=Path())
    with pytest.raises(InvalidSpec, match="predicts several amounts for a row, where one is want"):
        family.check({"loss_function": loss}, "regression")
