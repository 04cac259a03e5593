"""A forest whose exported form sums to more than 1: scored, exported and proved like any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.metrics import log_loss

from fairlead.data.features import Features
from fairlead.families import catalog
from fairlead.inference import Exported
from fairlead.metrics import METRICS
from fairlead.records import Column, Signature
from fairlead.serving.proof import asked, golden, prove
from fairlead.spec.document import Data
from fairlead.training.export import export
from fairlead.training.prepare import Preparation
from fairlead.training.refit import _golden

TREES = 20  # that agree: 1.0000001 in float32


class Forest:
    """A forest of scikit-learn's, trained and exported."""

    def __init__(self, load: Any) -> None:
        x, self.y = load(return_X_y=True)
        classes = int(self.y.max()) + 1
        self.rows = Features(numbers=x, text=np.empty((len(x), 0), np.int32))
        columns = tuple(Column(name=f"c{at}", kind="number") for at in range(x.shape[1]))
        self.signature = Signature(columns=columns, target="y", classes=tuple(range(classes)))
        family = catalog.family("random_forest", base=Path())
        estimator = family.build({"n_estimators": TREES}, "classification", seed=0, threads=1)
        fitted = family.fit(estimator, x, self.y, classes=classes)
        self.trained = fitted.model.predict_proba(x)
        preparation = Preparation.fit(self.rows, Data(source="x"))
        self.content = export(preparation, family, fitted, self.signature)

    @property
    def unbounded(self) -> Any:
        """What ONNX Runtime gives with one thread, which fixes the order of its sums."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(self.content, options)
        return session.run(None, {"numbers": self.rows.numbers.astype(np.float32)})[0]


@pytest.fixture(params=[load_breast_cancer, load_iris], ids=["binary", "multiclass"])
def forest(request: pytest.FixtureRequest) -> Forest:
    forest = Forest(request.param)
    assert forest.unbounded.max() > 1, "there is something to correct"
    return forest


def test_what_is_exported_gives_probabilities_and_scikit_learns_log_loss(forest: Forest) -> None:
    predicted = Exported(forest.content, forest.signature).predict(forest.rows)
    assert predicted.max() == 1
    assert predicted.min() >= 0
    assert METRICS["log_loss"].score(forest.y, predicted) == pytest.approx(
        log_loss(forest.y, forest.trained), abs=1e-5
    )


def test_golden_rows_of_before_and_of_now_are_proved_alike(forest: Forest) -> None:
    model = Exported(forest.content, forest.signature)
    for predictions in (forest.unbounded, model.predict(forest.rows)):
        written = json.dumps(_golden(forest.rows, predictions, forest.signature)).encode()
        kept = golden(written)
        assert np.max(kept.predictions) == 1
        prove(model, asked(kept, forest.signature, missing=False), kept)
