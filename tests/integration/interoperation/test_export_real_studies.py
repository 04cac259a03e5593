"""Studies that `fairlead run` searched, in every target: what came of it is the same in all."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pyarrow.parquet as pq
import pytest
from tests.integration.interoperation.conftest import Home
from tests.integration.interoperation.test_export_mlflow import STATES, read

REGRESSION = """
name: sugar
data: {source: diabetes, seed: 0}
search:
  method: tpe
  trials: 24
  folds: 3
  lag: 2
  prune: median
  over:
    - family: sklearn.linear_model:Ridge
      params: {alpha: {low: 0.001, high: 10.0, log: true}}
    - family: lightgbm
      params: {n_estimators: {low: 5, high: 20}, max_depth: [3, null]}
    - family: random_forest
      params: {n_estimators: {low: 5, high: 20}, max_features: [sqrt, 0.5]}
"""
CLASSES = """
name: figures
data: {source: digits, seed: 0}
search:
  method: grid
  metric: accuracy
  folds: 2
  over:
    - family: sklearn.tree:DecisionTreeClassifier
      params: {max_depth: [1, 2, 3], criterion: [gini, entropy, nonsense]}
"""


@pytest.fixture(params=[REGRESSION, CLASSES], ids=["regression", "classification"])
def study(request: pytest.FixtureRequest, home: Home, tmp_path: Path) -> tuple[Home, str]:
    """A home, and the name of the study in it."""
    spec = str(request.param)
    (tmp_path / "spec.yaml").write_text(spec)
    run = [sys.executable, "-m", "fairlead", "--home", str(home.folder), "run", "spec.yaml"]
    environ = {**os.environ, "FAIRLEAD_MLFLOW_URI": "none"}
    subprocess.run([*run, "--json"], cwd=tmp_path, env=environ, check=True, stdout=subprocess.PIPE)
    return home, spec.split()[1]


def test_every_target_has_the_trials_of_the_study(study: tuple[Home, str], tmp_path: Path) -> None:
    home, name = study
    wanted = _trials(home, name)
    assert {one["state"] for one in wanted} in ({"done", "pruned"}, {"done", "failed"})
    home.done(name, "--output", "trials.parquet")
    home.done(name, "--to", "optuna", "optuna.db")
    home.done(name, "--to", "mlflow", "sqlite:///mlflow.db")

    rows = list(csv.DictReader(io.StringIO(home.done(name, "--to", "csv"))))
    assert [row["state"] for row in rows] == [one["state"] for one in wanted]
    assert [row["score"] and float(row["score"]) for row in rows] == [
        "" if one["score"] is None else one["score"] for one in wanted
    ]
    table = pq.read_table(tmp_path / "trials.parquet")
    assert table["score"].to_pylist() == [one["score"] for one in wanted]
    assert table["reason"].to_pylist() == [one["reason"] for one in wanted]

    theirs = optuna.load_study(study_name=name, storage=f"sqlite:///{tmp_path / 'optuna.db'}")
    assert [trial.user_attrs["fold_scores"] for trial in theirs.trials] == [
        one["scores"] for one in wanted
    ]
    assert theirs.best_trial.number == _best(home, name)

    runs = read(home, experiment=name)
    assert [STATES[run["status"]] for run in runs] == [one["state"] for one in wanted]
    assert [run["metrics"].get("score") for run in runs] == [one["score"] for one in wanted]
    assert [{*run["params"]} - {"family"} for run in runs] == [{*one["params"]} for one in wanted]
    assert runs.parent["tags"]["fairlead.best"] == str(_best(home, name))


def _trials(home: Home, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(_said(home, "trials", name, "--json"))
    return found


def _best(home: Home, name: str) -> int:
    (only,) = json.loads(_said(home, "studies", "--json"))
    assert only["name"] == name
    return int(only["best"])


def _said(home: Home, *words: str) -> str:
    command = [sys.executable, "-m", "fairlead", "--home", str(home.folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
