"""A home with one model, made once by `fairlead run`; each test has a copy of its own."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.server.rig import Home, opened
from tests.support.homes import made_once

SPEC = """
name: sums
data: {source: sums.csv, target: sum, seed: 1}
search:
  method: grid
  folds: 2
  over:
    - family: random_forest
      params: {n_estimators: [5]}
serve:
  deadline: 2s
  judge: {hold: 1s, requests: 20}
"""


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "sums", _make) / "home"


def _make(folder: Path) -> None:
    draw = random.Random(0)
    numbers = [draw.uniform(0, 10) for _ in range(400)]
    lines = ["number,sum", *(f"{number},{number}" for number in numbers)]
    (folder / "sums.csv").write_text("\n".join(lines))
    (folder / "sums.yaml").write_text(SPEC)
    command = [sys.executable, "-m", "fairlead", "--home", "home", "run", "sums.yaml"]
    done = subprocess.run(
        [*command, "--workers", "1"],
        cwd=folder,
        env={**os.environ, "FAIRLEAD_MLFLOW_URI": "none"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Iterator[Home]:
    with opened(shutil.copytree(made, tmp_path / "home")) as home:
        yield home
