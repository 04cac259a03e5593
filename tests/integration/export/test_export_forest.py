from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits

from fairlead.data.features import Features
from fairlead.families import catalog
from fairlead.inference import Exported
from fairlead.records import Column, Signature
from fairlead.spec.document import Data
from fairlead.training.export import export
from fairlead.training.prepare import Preparation


def _exported(fitted: Any, rows: Any, classes: int | None) -> Any:
    signature = Signature(
        columns=tuple(Column(name=f"c{place}", kind="number") for place in range(rows.shape[1])),
        target="y",
        classes=None if classes is None else tuple(range(classes)),
    )
    features = Features(numbers=rows, text=np.empty((len(rows), 0), np.int32))
    preparation = Preparation.fit(features, Data(source="x"))
    family = catalog.family("random_forest", base=Path())
    model = Exported(export(preparation, family, fitted, signature), signature)
    return model.predict(features)


@pytest.mark.parametrize("name", ["random_forest", "extra_trees"])
@pytest.mark.parametrize("classes", [None, 10])
def test_a_value_on_a_threshold_takes_the_same_branch(name: str, classes: int | None) -> None:
    x, y = load_diabetes(return_X_y=True) if classes is None else load_digits(return_X_y=True)
    family = catalog.family(name, base=Path())
    task = "regression" if classes is None else "classification"
    estimator = family.build({"n_estimators": 20}, task, seed=0, threads=1)
    fitted = family.fit(estimator, x / 3, y, classes=classes)
    rng = np.random.default_rng(0)
    tree = fitted.model.estimators_[0].tree_
    inner = tree.children_left != -1
    rows = (x[rng.integers(0, len(x), 3 * inner.sum())] / 3).astype(np.float32)
    near = tree.threshold[inner].astype(np.float32)
    steps = (near, np.nextafter(near, np.float32(9)), np.nextafter(near, np.float32(-9)))
    rows[np.arange(len(rows)), np.tile(tree.feature[inner], 3)] = np.concatenate(steps)
    numbers = rows.astype(float)
    apart = np.abs(family.predict(fitted, numbers) - _exported(fitted, numbers, classes))
    assert apart.max() < 1e-5 * max(1.0, float(np.abs(y).max()))


def test_missing_numbers_take_the_same_branch() -> None:
    x, y = load_diabetes(return_X_y=True)
    x = x.astype(np.float32).astype(float)
    x[np.random.default_rng(0).random(x.shape) < 0.2] = np.nan
    family = catalog.family("random_forest", base=Path())
    estimator = family.build({"n_estimators": 50}, "regression", seed=0, threads=1)
    fitted = family.fit(estimator, x, y, classes=None)
    assert np.allclose(_exported(fitted, x, None), family.predict(fitted, x), rtol=1e-5)
