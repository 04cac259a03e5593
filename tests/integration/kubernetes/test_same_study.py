"""What a laptop finds is what a cluster finds, bit for bit: trials, scores, best, verdict, model.

Of trees and boosters: what BLAS computes differs in the last bits between kinds of processors.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.installation import Installed, done, files_here, installation, run_here

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
CALIFORNIA = """
name: california-short
data: {source: california, impute: mean, seed: 3}
search:
  method: random
  trials: 6
  folds: 2
  over:
    - family: xgboost
      params: {n_estimators: [20, 40], max_depth: [3, 6], reg_alpha: {low: 0.0, high: 1.0}}
    - family: lightgbm
      params: {n_estimators: [20, 40], num_leaves: [7, 31], learning_rate: 0.1}
    - family: catboost
      params: {iterations: [20, 40], depth: [3, 5], learning_rate: 0.1}
promote: {when: always}
"""
SAME_BYTES = ("model.onnx", "golden.json", "training_rows.npy", "holdout.npz")


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    with installation() as made:
        yield made


def run_there(installed: Installed, spec: Path, *words: str) -> Mapping[str, Any]:
    """The outcome of a spec that is run on the cluster by three workers."""
    command = [sys.executable, "-m", "fairlead", "run", str(spec), *words]
    command += ["--on", "kubernetes", "--namespace", installed.namespace, "--json"]
    command += ["--workers", "3", "--cpu", "100m", "--memory", "800Mi"]
    status = json.loads(done(command, os.environ, seconds=1500))
    outcome: Mapping[str, Any] = installed.fairlead("watch", status["run"])
    return outcome


def study(outcome: Mapping[str, Any]) -> Mapping[str, Any]:
    """What came of a run, but for times and for how many attempts it took."""
    passing = {"attempts", "seconds"}
    trials = [
        {key: each for key, each in one.items() if key not in passing} for one in outcome["trials"]
    ]
    return {**outcome, "trials": trials}


def assert_same(installed: Installed, folder: Path, spec: Path, *words: str) -> None:
    there = run_there(installed, spec, *words)
    here = run_here(folder, spec, *words)
    assert study(there) == study(here)
    model, version = str(here["model"]), int(here["version"])
    files, expected = installed.files(model, version), files_here(folder, model, version)
    assert files.keys() == expected.keys()
    assert {name: files[name] for name in SAME_BYTES} == {
        name: expected[name] for name in SAME_BYTES
    }


def test_a_part_of_the_grid_of_boston(installed: Installed, tmp_path: Path) -> None:
    few = {"n_estimators": "[20,40]", "max_depth": "[null,10]", "min_samples_leaf": "[1,4]"}
    sets = [f"search.over.0.params.{name}={values}" for name, values in few.items()]
    words = [word for one in ("name=boston-part", *sets) for word in ("--set", one)]
    assert_same(installed, tmp_path, EXAMPLES / "boston.yaml", *words)


def test_three_boosters_on_california(installed: Installed, tmp_path: Path) -> None:
    spec = tmp_path / "california.yaml"
    spec.write_text(CALIFORNIA)
    assert_same(installed, tmp_path, spec)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["boston", "california"])
def test_the_whole_example(installed: Installed, tmp_path: Path, name: str) -> None:
    assert_same(installed, tmp_path, EXAMPLES / f"{name}.yaml")
