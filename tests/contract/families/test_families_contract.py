"""What every family promises, held over each of them on scikit-learn's own data."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.datasets

from fairlead.data.features import Features
from fairlead.errors import Corrupt, InvalidData, InvalidSpec, Unexportable
from fairlead.families import catalog
from fairlead.families.family import Fitted, Saved
from fairlead.inference import Exported
from fairlead.machine import installed_packages, normalised
from fairlead.records import Column, Signature
from fairlead.spec.document import Data
from fairlead.spec.space import Range
from fairlead.training.export import export, parity
from fairlead.training.prepare import Preparation

IMPORTED = {
    "regression": "sklearn.ensemble:HistGradientBoostingRegressor",
    "classification": "sklearn.neural_network:MLPClassifier",
}
QUICK = {
    "random_forest": {"n_estimators": 100},
    "extra_trees": {"n_estimators": 100},
    "linear": {"max_iter": 10_000},
    "xgboost": {"n_estimators": 100},
    "lightgbm": {"n_estimators": 100},
    "catboost": {"iterations": 100, "learning_rate": 0.1},
    "keras": {"epochs": 8, "batch": 32, "dropout": 0.1},
    IMPORTED["regression"]: {"max_iter": 100},
    IMPORTED["classification"]: {"max_iter": 2000},
}
LOADERS = {
    "regression": sklearn.datasets.load_diabetes,
    "binary": sklearn.datasets.load_breast_cancer,
    "multiclass": sklearn.datasets.load_iris,
}
PAIRS = [
    (name, kind)
    for kind in LOADERS
    for name in [
        *catalog.NAMES,
        IMPORTED["regression" if kind == "regression" else "classification"],
    ]
]


def _marked(pair: tuple[str, str], *further: str) -> Any:
    values = (pair, *further)
    marks = pytest.mark.distributed if pair[0] == "keras" else ()
    return pytest.param(*values, marks=marks, id="-".join((*pair, *further)).split(":")[-1])


CASES = [_marked(pair) for pair in PAIRS]
CLASSIFIERS = [_marked(pair) for pair in PAIRS if pair[1] != "regression"]
SET_BY_FAIRLEAD = [
    _marked(pair, name)
    for pair in PAIRS
    for name in ("n_jobs", "random_state")
    if (pair[0], name) != (IMPORTED["regression"], "n_jobs")  # it has none
]


class Case:
    """A family, fitted on rows of one kind."""

    def __init__(self, name: str, kind: str) -> None:
        x, y = LOADERS[kind](return_X_y=True)
        self.x = np.ascontiguousarray(x, dtype=float)
        self.task = "regression" if kind == "regression" else "classification"
        self.y = y.astype(float if self.task == "regression" else np.int64)
        self.classes = None if self.task == "regression" else int(y.max()) + 1
        self.family = catalog.family(name, base=Path())
        self.params = QUICK[name]

    def fit(self, rows: Any = slice(None), **params: Any) -> Any:
        given = {**self.params, **params}
        estimator = self.family.build(given, self.task, seed=3, threads=1)
        return self.family.fit(estimator, self.x[rows], self.y[rows], classes=self.classes)

    @property
    def features(self) -> Features:
        return Features(numbers=self.x, text=np.empty((len(self.x), 0), np.int32))

    @property
    def signature(self) -> Signature:
        columns = tuple(Column(name=f"c{i}", kind="number") for i in range(self.x.shape[1]))
        classes = None if self.classes is None else tuple(range(self.classes))
        return Signature(columns=columns, target="y", classes=classes)

    def exported(self, fitted: Fitted) -> Exported:
        preparation = Preparation.fit(self.features, Data(source="x"))
        return Exported(export(preparation, self.family, fitted, self.signature), self.signature)


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(*request.param)


@pytest.fixture(scope="module")
def fitted(case: Case) -> Any:
    return case.fit()


def test_predictions_have_the_promised_shape(case: Case, fitted: Fitted) -> None:
    predicted = case.family.predict(fitted, case.x)
    if case.classes is None:
        assert predicted.shape == (len(case.x),)
    else:
        assert predicted.shape == (len(case.x), case.classes)
        assert predicted.sum(axis=1) == pytest.approx(1.0, abs=1e-5)


def test_the_same_seed_gives_the_same_bits(case: Case, fitted: Fitted) -> None:
    again = case.family.predict(case.fit(), case.x)
    assert np.array_equal(again, case.family.predict(fitted, case.x))


def test_a_fit_and_a_prediction_start_no_python_threads_and_print_nothing(
    case: Case, capfd: pytest.CaptureFixture[str]
) -> None:
    before = threading.active_count()
    case.family.predict(case.fit(), case.x)
    assert threading.active_count() == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("case", CLASSIFIERS, indirect=True)
def test_a_class_that_the_rows_miss_has_a_column_of_zeros(case: Case) -> None:
    if case.classes == 2:
        with pytest.raises(InvalidData, match="needs two classes"):
            case.fit(case.y == 1)
        return
    fitted = case.fit(case.y != 1)
    predicted = case.family.predict(fitted, case.x)
    assert predicted.shape[1] == case.classes
    assert not predicted[:, 1].any()
    assert set(predicted[case.y != 1].argmax(axis=1)) == {0, 2}
    assert parity(predicted, case.exported(fitted).predict(case.features), spread=None).passed
    with pytest.raises(Unexportable, match="class number 1"):
        case.family.save(fitted)


def test_what_is_saved_predicts_the_same_bits_once_loaded(case: Case, fitted: Fitted) -> None:
    saved = case.family.save(fitted)
    again = case.family.load(saved, classes=case.classes)
    assert np.array_equal(case.family.predict(again, case.x), case.family.predict(fitted, case.x))
    assert again.task == case.task


def test_damaged_bytes_are_refused(case: Case, fitted: Fitted) -> None:
    saved = case.family.save(fitted)
    for content in (b"", b"nonsense", saved.content[: len(saved.content) // 2]):
        with pytest.raises(Corrupt):
            case.family.load(Saved(name=saved.name, content=content), classes=case.classes)


def test_the_exported_model_predicts_what_the_trained_one_does(case: Case, fitted: Fitted) -> None:
    spread = None if case.classes else float(case.y.std())
    trained = case.family.predict(fitted, case.x)
    verdict = parity(trained, case.exported(fitted).predict(case.features), spread=spread)
    assert verdict.passed
    assert verdict.worst < 5e-5


def test_a_loaded_model_is_exported_to_the_same_bytes(case: Case, fitted: Fitted) -> None:
    loaded = case.family.load(case.family.save(fitted), classes=case.classes)
    width = case.x.shape[1]
    assert case.family.onnx(loaded, width=width) == case.family.onnx(fitted, width=width)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 64, 100])
def test_an_exported_prediction_is_the_same_bits_whatever_it_is_asked_with(
    case: Case, fitted: Fitted, size: int
) -> None:
    model, rows = case.exported(fitted), np.arange(len(case.x))
    whole = model.predict(case.features)
    parts = [model.predict(case.features.take(part)) for part in np.split(rows, rows[size::size])]
    assert np.array_equal(np.concatenate(parts), whole)
    shuffled = np.random.default_rng(0).permutation(rows)
    assert np.array_equal(model.predict(case.features.take(shuffled)), whole[shuffled])


def test_no_rows_have_no_predictions(case: Case, fitted: Fitted) -> None:
    nothing = case.features.take(np.arange(0))
    assert len(case.exported(fitted).predict(nothing)) == 0


def test_an_unknown_parameter_is_refused_by_name(case: Case) -> None:
    with pytest.raises(InvalidSpec, match="no parameter 'no_such_thing'"):
        case.family.check({"no_such_thing": 1}, case.task)


@pytest.mark.parametrize(("case", "name"), SET_BY_FAIRLEAD, indirect=["case"])
def test_parameters_that_fairlead_sets_are_refused(case: Case, name: str) -> None:
    with pytest.raises(InvalidSpec, match=f"{name}' is not for the spec"):
        case.family.check({name: 1}, case.task)


def test_its_own_space_is_made_of_parameters_that_it_takes(case: Case) -> None:
    space = case.family.space(case.task)
    middle = {
        name: values.low
        if isinstance(values, Range)
        else values[0]
        if isinstance(values, tuple)
        else values
        for name, values in space.items()
    }
    case.family.check(middle, case.task)
    predicted = case.family.predict(case.fit(slice(None, None, 2), **middle), case.x)
    assert np.isfinite(predicted).all()


def test_it_says_which_versions_its_fits_depend_on(case: Case) -> None:
    versions = case.family.versions()
    assert versions
    assert all(version[0].isdigit() for version in versions.values())


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.distributed] if name == "keras" else [])
        for name in catalog.NAMES
    ],
)
def test_a_worker_with_the_same_packages_has_what_it_needs(name: str) -> None:
    needed = catalog.family(name, base=Path()).versions()
    offered = installed_packages()
    assert {normalised(one): offered.get(normalised(one)) for one in needed} == {
        normalised(one): version for one, version in needed.items()
    }
