"""Versions made for a test, without a study, and models that no family would make."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from fairlead.artifacts import Artifacts
from fairlead.data.features import Features
from fairlead.families import catalog
from fairlead.inference import Exported, inspect
from fairlead.records import Allowance, Candidate, Column, Digest, File, Signature
from fairlead.serving.plan import Facts, Held, Plan, Split
from fairlead.spec.document import Data
from fairlead.training.export import export
from fairlead.training.prepare import Preparation
from fairlead.training.refit import _golden

ROWS = 500
NUMBERS = ("rooms", "age", "tax", "distance")
CITIES = ("bath", "leeds", "york")
QUICK: Mapping[str, Mapping[str, Any]] = {
    "random_forest": {"n_estimators": 60},
    "extra_trees": {"n_estimators": 30},
    "linear": {"max_iter": 10_000},
    "xgboost": {"n_estimators": 40},
    "lightgbm": {"n_estimators": 40},
    "catboost": {"iterations": 40, "learning_rate": 0.1},
}


def table(*, missing: bool, text: bool) -> Features:
    """Rows of four numbers, and of a city where asked for."""
    rng = np.random.default_rng(7)
    numbers = rng.normal(size=(ROWS, len(NUMBERS)))
    if missing:
        numbers[rng.random(numbers.shape) < 0.1] = np.nan
    codes = rng.integers(-1, len(CITIES), (ROWS, 1)) if text else np.empty((ROWS, 0))
    return Features(
        numbers=numbers, text=codes.astype(np.int32), categories=(CITIES,) if text else ()
    )


def signature(*, text: bool = False, classes: int | None = None) -> Signature:
    columns = [Column(name=name, kind="number") for name in NUMBERS]
    if text:
        columns.append(Column(name="city", kind="text"))
    labels = None if classes is None else tuple(range(classes))
    return Signature(columns=tuple(columns), target="price", classes=labels)


@cache
def exported(
    family: str,
    *,
    classes: int | None = None,
    missing: bool = False,
    text: bool = False,
    trees: int | None = None,
) -> bytes:
    """A model of this family, in ONNX, fitted on the table."""
    rows = table(missing=missing, text=text)
    target = np.nansum(rows.numbers * [3.0, -1.0, 0.5, 2.0], axis=1) + rows.text.sum(axis=1)
    y = target if classes is None else np.digitize(target, np.linspace(-2, 2, classes - 1))
    data = Data(
        source="x", impute="median" if missing else None, encode={"city": "onehot"} if text else {}
    )
    preparation = Preparation.fit(rows, data)
    maker = catalog.family(family, base=Path())
    task = "regression" if classes is None else "classification"
    params = QUICK.get(family, {}) if trees is None else {"n_estimators": trees}
    estimator = maker.build(params, task, seed=1, threads=1)
    fitted = maker.fit(estimator, preparation.transform(rows), y, classes=classes)
    return export(preparation, maker, fitted, signature(text=text, classes=classes))


def candidate(
    artifacts: Artifacts,
    content: bytes,
    described: Signature,
    *,
    rows: Features | None = None,
    golden: Mapping[str, Any] | None = None,
) -> Candidate:
    """A candidate with this ONNX form; its golden rows are the table's first ones."""
    if golden is None:
        rows = rows or table(missing=False, text=bool(described.text))
        golden = _golden(rows, Exported(content, described).predict(rows), described)
    return Candidate(
        study="s",
        trial=0,
        family="random_forest",
        params={},
        seed=0,
        metric="mse",
        holdout_score=None,
        training_rows=ROWS,
        holdout_rows=ROWS,
        signature=described,
        files={
            "model.onnx": artifacts.put(content),
            "golden.json": artifacts.put(json.dumps(golden).encode()),
        },
        parity=None,
    )


def held(
    file: File,
    described: Signature,
    *,
    model: str = "houses",
    revision: str = "v1",
    facts: Facts | None = None,
    allowance: Allowance | None = None,
) -> Held:
    """A revision to be held, with facts that nobody checked unless they are given."""
    return Held(
        model=model,
        revision=revision,
        version=int(revision.partition("-")[0].removeprefix("v")),
        file=file.digest,
        signature=described,
        facts=facts or Facts(steady=True, missing=False, seconds=1e-5, size=file.size),
        allowance=allowance or Allowance(),
    )


def found(content: bytes, seconds: float = 1e-5) -> Facts:
    """The facts of a model, as a check would find them."""
    inspected = inspect(content)
    return Facts(
        steady=inspected.steady, missing=inspected.missing, seconds=seconds, size=len(content)
    )


def plan(serial: int, *revisions: Held) -> Plan:
    """Each model's traffic goes to the last of its revisions; the route has the plan's number."""
    last = {one.model: one.revision for one in revisions}
    splits = tuple(
        Split(model=model, route=serial, traffic={name: 100}) for model, name in last.items()
    )
    return Plan(serial=serial, held=revisions, splits=splits)


def adding(constant: float) -> bytes:
    """A model of one number: prediction = number + constant."""
    nodes = [
        helper.make_node("Reshape", ["numbers", "flat_shape"], ["flat"]),
        helper.make_node("Add", ["flat", "constant"], ["prediction"]),
    ]
    return crafted(nodes, helper.make_tensor("constant", TensorProto.FLOAT, [1], [constant]))


ONE = Signature(columns=(Column(name="number", kind="number"),), target="sum")


def crafted(nodes: list[Any], *constants: Any) -> bytes:
    """An ONNX model of one number; `flat_shape` is there."""
    shape = helper.make_tensor("flat_shape", TensorProto.INT64, [1], [-1])
    graph = helper.make_graph(
        nodes,
        "crafted",
        [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["rows", 1])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["rows"])],
        [shape, *constants],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def number(value: float, rows: int = 1) -> dict[str, Any]:
    """Inputs of a crafted model."""
    return {"numbers": np.full((rows, 1), value, np.float32)}


def stored(root: Path, digest: Digest) -> Path:
    """Where a folder keeps an artefact."""
    return root / digest[:2] / digest


async def until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Let the loop go on until something is so."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it never was so"
        await asyncio.sleep(0.005)


def renamed(revision: Held, name: str) -> Held:
    """The same model as another revision."""
    return replace(revision, revision=name, version=int(name.removeprefix("v")))
