"""Models from `fairlead run`, once for all tests of serving, and a process that serves them."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead import manifest
from fairlead.artifacts import Artifacts
from fairlead.ledger.store import open_ledger
from tests.integration.serving.rig import Process, Trained, started
from tests.support.homes import made_once

HOUSES = """
name: houses
data: {source: boston, target: MEDV, seed: 42}
search:
  method: grid
  folds: 2
  over:
    - family: random_forest
      params: {n_estimators: [20]}
"""

KINDS = """
name: kinds
data: {source: kinds.csv, target: kind, encode: {city: onehot}, impute: median}
search:
  method: grid
  folds: 2
  metric: accuracy
  over:
    - family: random_forest
      params: {n_estimators: [5]}
"""


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    home = made_once(tmp_path_factory, "trained", _make) / "home"
    artifacts = Artifacts(home / "artifacts")
    with open_ledger(home / "ledger.db") as ledger:
        versions = {model: ledger.versions.champion(model) for model in ("houses", "kinds")}
    return Trained(
        home=home,
        candidates={
            model: manifest.load(artifacts.get(version.manifest))
            for model, version in versions.items()
            if version is not None
        },
    )


def _make(folder: Path) -> None:
    _write_kinds(folder / "kinds.csv")
    for name, spec in (("houses", HOUSES), ("kinds", KINDS)):
        (folder / f"{name}.yaml").write_text(spec)
        _run(folder, "--home", "home", "run", f"{name}.yaml", "--workers", "1")


@pytest.fixture(scope="module")
def process(trained: Trained) -> Iterator[Process]:
    """A process that serves all models, as it comes."""
    with started(trained) as process:
        process.plan(*(trained.held(model) for model in trained.candidates))
        process.followed()
        yield process


def _write_kinds(path: Path) -> None:
    """Two numbers, the first with gaps, and a city; the kind follows from the second and it."""
    draw = random.Random(0)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["size", "weight", "city", "kind"])
        for _ in range(200):
            weight, city = round(draw.uniform(0, 10), 3), draw.choice(["Ulm", "Bonn", "Köln"])
            size = "" if draw.random() < 0.1 else round(draw.uniform(0, 1), 3)
            kind = "heavy" if weight > 5 else ("far" if city == "Ulm" else "light")
            rows.writerow([size, weight, city, kind])


def _run(folder: Path, *args: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fairlead", *args],
        cwd=folder,
        env={**os.environ, "FAIRLEAD_MLFLOW_URI": "none"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes are shown by their beginning."""
    return json.dumps(val[:40].decode("latin-1")) if isinstance(val, bytes) else None
