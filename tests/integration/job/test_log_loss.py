"""Promises of a study that is scored by the log loss, from its refit to a prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

if TYPE_CHECKING:
    from tests.integration.job.conftest import Place

SPEC = """
name: tumours
data: {source: tumours.csv, target: kind, holdout: {by: random}}
search:
  method: grid
  folds: 2
  metric: log_loss
  over: [{family: random_forest, params: {n_estimators: 20, min_samples_leaf: 5}}]
"""


def test_a_forest_whose_trees_agree_is_refitted_judged_and_predicts(place: Place) -> None:
    x, y = load_breast_cancer(return_X_y=True, as_frame=True)
    kinds = y.map({0: "malign", 1: "benign"})
    x.assign(kind=kinds).to_csv(place.folder / "tumours.csv", index=False)
    place.write("spec.yaml", SPEC)
    found = place.json("run", "spec.yaml")
    train, held, of_train, of_held = train_test_split(x, kinds, test_size=0.2, random_state=0)
    forest = RandomForestClassifier(20, min_samples_leaf=5, random_state=0)
    theirs = forest.fit(train.to_numpy(), of_train).predict_proba(held.to_numpy())
    assert found["holdout_score"] == pytest.approx(log_loss(of_held, theirs), rel=1e-4)
    assert found["promoted"]
    held.to_csv(place.folder / "held.csv", index=False)
    done = place.run("predict", "tumours", "held.csv")
    assert done.returncode == 0, done.stderr
    (place.folder / "predicted.csv").write_text(done.stdout)
    predicted = pd.read_csv(place.folder / "predicted.csv")
    likely = predicted.select_dtypes("number").to_numpy()
    assert likely.max() == 1
    assert likely == pytest.approx(theirs, abs=1e-5)
