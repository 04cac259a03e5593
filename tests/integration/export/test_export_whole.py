"""From raw columns, with missing numbers and text, through one graph, on real data."""

from __future__ import annotations

import csv
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.families import LIGHT

from fairlead.data.features import Features
from fairlead.errors import Unexportable
from fairlead.families import catalog
from fairlead.inference import Exported
from fairlead.records import Column, Signature
from fairlead.spec.document import Data
from fairlead.training.export import export, parity
from fairlead.training.prepare import Preparation

ARCHIVE = Path(__file__).parents[3] / "examples" / "data" / "california.tgz"
PARAMS = {
    "random_forest": {"n_estimators": 50},
    "extra_trees": {"n_estimators": 20},
    "linear": {"alpha": 0.1, "max_iter": 10_000},
    "xgboost": {"n_estimators": 100},
    "lightgbm": {"n_estimators": 100},
    "catboost": {"iterations": 100},
}


def _houses() -> tuple[Features, Any, Signature]:
    """Eight number columns, one of them with missing values, and a text column."""
    with tarfile.open(ARCHIVE) as archive:
        member = archive.extractfile("housing/housing.csv")
        assert member is not None
        header, *rows = csv.reader(io.TextIOWrapper(member))
    rows = rows[::5]
    numbers = np.array([[float(cell or "nan") for cell in row[:8]] for row in rows])
    texts = sorted({row[9] for row in rows})
    codes = np.array([[texts.index(row[9])] for row in rows], dtype=np.int32)
    codes[::50] = -1  # the file has none that are missing
    columns = [Column(name=name, kind="number") for name in header[:8]]
    signature = Signature(columns=(*columns, Column(name=header[9], kind="text")), target=header[8])
    features = Features(numbers=numbers, text=codes, categories=(tuple(texts),))
    return features, np.array([float(row[8]) for row in rows]), signature


HOUSES, PRICES, SIGNATURE = _houses()
TRAIN, TEST = np.arange(0, 3000), np.arange(3000, len(PRICES))
DATA = Data(source="houses", impute="median", encode={"ocean_proximity": "onehot"})


def _exported(name: str, **params: Any) -> tuple[Any, bytes]:
    """Predictions for the test rows as trained, and the exported model."""
    family = catalog.family(name, base=Path())
    rows = HOUSES.take(TRAIN)
    preparation = Preparation.fit(rows, DATA)
    estimator = family.build(params, "regression", seed=1, threads=1)
    fitted = family.fit(estimator, preparation.transform(rows), PRICES[TRAIN], classes=None)
    trained = family.predict(fitted, preparation.transform(HOUSES.take(TEST)))
    return trained, export(preparation, family, fitted, SIGNATURE)


@pytest.mark.parametrize("name", LIGHT)
def test_raw_columns_predict_what_prepared_ones_did(name: str) -> None:
    trained, content = _exported(name, **PARAMS[name])
    predicted = Exported(content, SIGNATURE).predict(HOUSES.take(TEST))
    assert np.isnan(HOUSES.take(TEST).numbers).any()
    verdict = parity(trained, predicted, spread=float(PRICES.std()))
    assert verdict.passed, verdict


def test_the_graph_is_what_the_signature_says_and_the_same_bytes_each_time() -> None:
    _, content = _exported("xgboost", n_estimators=5)
    model = onnx.load_model_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    kinds = {
        one.name: (
            onnx.TensorProto.DataType.Name(one.type.tensor_type.elem_type),
            [size.dim_param or size.dim_value for size in one.type.tensor_type.shape.dim],
        )
        for one in (*model.graph.input, *model.graph.output)
    }
    assert kinds == {
        "numbers": ("FLOAT", ["rows", 8]),
        "text": ("STRING", ["rows", 1]),
        "prediction": ("FLOAT", ["rows"]),
    }
    assert {one.domain: one.version for one in model.opset_import} == {"": 18, "ai.onnx.ml": 3}
    assert content == _exported("xgboost", n_estimators=5)[1]


def test_a_prediction_from_columns_is_the_same_bits_alone_and_among_others() -> None:
    _, content = _exported("random_forest", n_estimators=300, min_samples_leaf=20)
    model = Exported(content, SIGNATURE)
    rows = HOUSES.take(TEST[:1000])
    whole = model.predict(rows)
    for size in (1, 64, 333):
        places = np.arange(len(rows))
        parts = [model.predict(rows.take(part)) for part in np.split(places, places[size::size])]
        assert np.array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("name", ["xgboost", "lightgbm", "catboost"])
@pytest.mark.parametrize("classes", [None, 2, 3])
def test_missing_numbers_take_the_same_branch_in_the_exported_booster(
    name: str, classes: int | None
) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 5)).astype(np.float32).astype(float)
    x[rng.random(x.shape) < 0.3] = np.nan
    target = np.nansum(x, axis=1) + 3 * np.isnan(x[:, 0])
    y = target if classes is None else np.digitize(target, [0.0, 2.0][: classes - 1])
    family = catalog.family(name, base=Path())
    task = "regression" if classes is None else "classification"
    estimator = family.build({"learning_rate": 0.2}, task, seed=1, threads=1)
    fitted = family.fit(estimator, x, y, classes=classes)
    signature = Signature(
        columns=tuple(Column(name=f"c{place}", kind="number") for place in range(5)),
        target="y",
        classes=None if classes is None else tuple(range(classes)),
    )
    features = Features(numbers=x, text=np.empty((len(x), 0), np.int32))
    preparation = Preparation.fit(features, Data(source="x"))
    content = export(preparation, family, fitted, signature)
    spread = float(np.std(y)) if classes is None else None
    predicted = Exported(content, signature).predict(features)
    assert parity(family.predict(fitted, x), predicted, spread=spread).passed


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("xgboost", {"num_parallel_tree": 3, "subsample": 0.6}),
        ("xgboost", {"objective": "reg:absoluteerror"}),
        ("lightgbm", {"boosting_type": "dart"}),
        ("lightgbm", {"objective": "poisson"}),
        ("lightgbm", {"objective": "huber", "alpha": 0.8}),
        ("catboost", {"loss_function": "MAE"}),
    ],
)
def test_other_kinds_of_boosters_keep_parity_too(name: str, params: dict[str, Any]) -> None:
    rounds = "iterations" if name == "catboost" else "n_estimators"
    trained, content = _exported(name, **{rounds: 50}, **params)
    predicted = Exported(content, SIGNATURE).predict(HOUSES.take(TEST))
    assert parity(trained, predicted, spread=float(PRICES.std())).passed


@pytest.mark.parametrize(
    ("name", "params", "why"),
    [
        ("lightgbm", {"boosting_type": "rf", "subsample": 0.6, "subsample_freq": 1}, "averaged"),
        ("xgboost", {"missing": -1.0}, "missing values"),
        ("xgboost", {"booster": "dart", "rate_drop": 0.3}, "booster 'dart' predicts"),
        ("xgboost", {"booster": "gblinear"}, "booster 'gblinear' predicts"),
        ("catboost", {"grow_policy": "Lossguide"}, "non symmetric trees"),
        ("sklearn.dummy:DummyRegressor", {}, "DummyRegressor"),
    ],
)
def test_what_would_be_converted_wrongly_has_no_onnx_form(
    name: str, params: dict[str, Any], why: str
) -> None:
    with pytest.raises(Unexportable, match=why):
        _exported(name, **params)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    trained=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=20),
    asked=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=20),
)
def test_any_text_is_encoded_the_same_in_the_graph(
    trained: list[tuple[str, str]], asked: list[tuple[str, str]]
) -> None:
    fitted_on, features = _of_texts(trained), _of_texts([*trained, *asked])
    preparation = Preparation.fit(fitted_on, Data(source="x"))
    assert np.array_equal(_through_graph(preparation, features), preparation.transform(features))


def _of_texts(rows: list[tuple[str, str]]) -> Features:
    categories = tuple(tuple(sorted({row[column] for row in rows} - {""})) for column in (0, 1))
    codes = [
        [texts.index(cell) if cell else -1 for cell, texts in zip(row, categories, strict=True)]
        for row in rows
    ]
    return Features(
        numbers=np.empty((len(rows), 0)),
        text=np.array(codes, dtype=np.int32),
        categories=categories,
    )


def _through_graph(preparation: Preparation, features: Features) -> Any:
    """The encoded columns, as the graph before any model has them."""
    from onnx import TensorProto, helper

    from fairlead.families.onnx_graph import checked, sealed
    from fairlead.training.export import prepared

    columns = tuple(Column(name=name, kind="text") for name in "ab")
    signature = Signature(columns=columns, target="y", classes=(0, 1))
    before = prepared(preparation, signature)
    output = helper.make_tensor_value_info(
        "probabilities", TensorProto.FLOAT, ["rows", preparation.width]
    )
    last = helper.make_node("Identity", [before.output], ["probabilities"])
    graph = helper.make_graph([*before.nodes, last], "g", [], [], list(before.constants))
    content = checked(sealed(helper.make_model(graph), before.inputs, output))
    return Exported(content, signature).predict(features)
