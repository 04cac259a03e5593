"""What is found in a graph before it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor
from tests.support.families import LIGHT

from fairlead.data.features import Features
from fairlead.errors import Corrupt
from fairlead.families import catalog
from fairlead.families.family import Fitted
from fairlead.families.imported import Imported
from fairlead.inference import Exported, compact, inspect
from fairlead.records import Column, Signature
from fairlead.spec.document import Data
from fairlead.training.export import export
from fairlead.training.prepare import Preparation

X = np.random.default_rng(0).normal(size=(200, 3))
Y = X @ [1.0, 2.0, 3.0]
SIGNATURE = Signature(columns=tuple(Column(name=name, kind="number") for name in "abc"), target="y")
QUICK = {"random_forest": {"n_estimators": 5}, "extra_trees": {"n_estimators": 5}}
BOOSTERS = {"xgboost": "n_estimators", "lightgbm": "n_estimators", "catboost": "iterations"}


def _exported(name: str, impute: Any = None, *, text: bool = False) -> bytes:
    family = catalog.family(name, base=Path())
    params = QUICK.get(name, {}) | ({BOOSTERS[name]: 5} if name in BOOSTERS else {})
    codes = np.zeros((200, 1), np.int32) if text else np.empty((200, 0), np.int32)
    rows = Features(numbers=X, text=codes, categories=(("x",),) if text else ())
    data = Data(source="x", impute=impute, encode={"city": "onehot"} if text else {})
    preparation = Preparation.fit(rows, data)
    estimator = family.build(params, "regression", seed=0, threads=1)
    fitted = family.fit(estimator, preparation.transform(rows), Y, classes=None)
    columns = (*SIGNATURE.columns, *([Column(name="city", kind="text")] if text else []))
    return export(preparation, family, fitted, Signature(columns=columns, target="y"))


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("name", LIGHT)
def test_a_family_takes_missing_numbers_where_the_spec_imputes_them(
    name: str, *, text: bool
) -> None:
    assert not inspect(_exported(name, text=text)).missing
    assert inspect(_exported(name, "median", text=text)).missing
    assert inspect(_exported(name, 0.0, text=text)).missing


@pytest.mark.parametrize("last", [LinearRegression(), DecisionTreeRegressor(max_depth=3)])
@pytest.mark.parametrize("text", [False, True])
def test_a_pipeline_takes_missing_numbers_where_it_imputes_them_itself(
    last: Any, *, text: bool
) -> None:
    assert inspect(_pipeline(SimpleImputer(), last, text=text)).missing
    assert not inspect(_pipeline(StandardScaler(), last, text=text)).missing


def _pipeline(first: Any, last: Any, *, text: bool) -> bytes:
    codes = np.zeros((200, 1), np.int32) if text else np.empty((200, 0), np.int32)
    rows = Features(numbers=X, text=codes, categories=(("x",),) if text else ())
    preparation = Preparation.fit(rows, Data(source="x", encode={"c": "onehot"} if text else {}))
    model = make_pipeline(first, last).fit(preparation.transform(rows), Y)
    columns = (*SIGNATURE.columns, *([Column(name="c", kind="text")] if text else []))
    family = Imported(name="sklearn.pipeline:Pipeline")
    signature = Signature(columns=columns, target="y")
    return export(preparation, family, Fitted(model=model), signature)


def test_a_filled_number_that_is_also_used_as_it_is_counts_as_missing() -> None:
    nodes = [
        helper.make_node("IsNaN", ["numbers"], ["missing"]),
        helper.make_node("Where", ["missing", "fill", "numbers"], ["filled"]),
        helper.make_node("Add", ["filled", "numbers"], ["prediction"]),
    ]
    assert not inspect(_crafted(nodes)).missing


def test_what_is_filled_with_something_that_may_be_missing_counts_as_missing() -> None:
    nodes = [
        helper.make_node("IsNaN", ["numbers"], ["missing"]),
        helper.make_node("Where", ["missing", "numbers", "fill"], ["filled"]),
        helper.make_node("Mul", ["filled", "fill"], ["prediction"]),
    ]
    assert not inspect(_crafted(nodes)).missing


def test_another_condition_than_being_missing_fills_nothing() -> None:
    nodes = [
        helper.make_node("Less", ["fill", "fill"], ["never"]),
        helper.make_node("Where", ["never", "fill", "numbers"], ["prediction"]),
    ]
    assert not inspect(_crafted(nodes)).missing


def _crafted(nodes: list[Any]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "crafted",
        [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["rows", 1])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["rows", 1])],
        [helper.make_tensor("fill", TensorProto.FLOAT, [1, 1], [0.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("name", LIGHT)
def test_trees_are_steady_and_sums_of_products_are_not(name: str) -> None:
    assert inspect(_exported(name)).steady == (name != "linear")


@pytest.mark.parametrize("name", LIGHT)
def test_a_compact_form_predicts_the_same_bits(name: str) -> None:
    content = _exported(name, "mean", text=True)
    signature = Signature(
        columns=(*SIGNATURE.columns, Column(name="city", kind="text")), target="y"
    )
    rows = Features(
        numbers=np.where(X > 1, np.nan, X),
        text=np.resize([0, -1], (200, 1)).astype(np.int32),
        categories=(("x",),),
    )
    compacted = Exported(compact(content), signature, inspect(content))
    expected = Exported(content, signature).predict(rows)
    assert compacted.predict(rows).tobytes() == expected.tobytes()


def test_what_is_no_model_has_no_compact_form() -> None:
    with pytest.raises(Corrupt, match="are not a model that runs"):
        compact(b"nonsense")


def test_a_refused_model_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Corrupt):
        compact(b"nonsense")
    assert capfd.readouterr() == ("", "")
