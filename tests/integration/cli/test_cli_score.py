"""`fairlead score`: one trial, scored as in a study, and what is said where there is no score."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SPEC = """
name: forest
data: {source: diabetes}
search:
  method: grid
  folds: 2
  metric: mse
  over:
    - family: extra_trees
      params: {n_estimators: [3, 5], max_depth: [null, 2], bootstrap: [true]}
"""
OWN = """
from sklearn.linear_model import Ridge

class Mine(Ridge):
    def __init__(self, alpha=1.0):
        super().__init__(alpha=alpha)

    def fit(self, X, y):
        print("mse=7 is what I say")
        if self.alpha > 1:
            raise ValueError("too much")
        return super().fit(X, y)
"""
DEFAULT_FILTER = r"([\w|-]+)\s*=\s*([+-]?\d*(\.\d+)?([Ee][+-]?\d+)?)"
"""By which Katib's collector reads what a trial prints."""


def fairlead(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fairlead", *args],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def done(folder: Path, *args: str) -> str:
    ended = fairlead(folder, *args)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "spec.yaml").write_text(SPEC)
    return tmp_path


def test_the_score_is_that_of_the_same_trial_in_a_study(folder: Path) -> None:
    done(folder, "run", "spec.yaml", "--workers", "1")
    trials = json.loads(done(folder, "trials", "forest", "--json"))
    assert len(trials) == 4
    for trial in trials:
        params = {name: json.dumps(value) for name, value in trial["params"].items()}
        words = [word for name in params for word in ("--param", f"{name}={params[name]}")]
        assert done(folder, "score", "spec.yaml", *words) == f"mse={trial['score']!r}\n"


def test_katib_reads_it(folder: Path) -> None:
    printed = done(
        folder, "score", "spec.yaml", "--param", "n_estimators=3", "--param", "max_depth=2"
    )
    (found,) = [one.groups() for one in re.finditer(DEFAULT_FILTER, printed) if one[1] == "mse"]
    assert float(found[1]) == float(printed.partition("=")[2])


def test_nothing_is_kept(folder: Path) -> None:
    done(folder, "score", "spec.yaml", "--param", "n_estimators=3", "--param", "max_depth=2")
    assert [path.name for path in folder.iterdir()] == ["spec.yaml"]


def test_a_fit_that_fails_is_said_in_a_line(folder: Path) -> None:
    (folder / "mine.py").write_text(OWN)
    sets = ("--set", "search.over=[{family: ./mine.py:Mine, params: {alpha: [1, 2]}}]")
    good = fairlead(folder, "score", "spec.yaml", *sets, "--param", "alpha=1")
    assert good.returncode == 0
    assert "I say" not in good.stdout
    bad = fairlead(folder, "score", "spec.yaml", *sets, "--param", "alpha=2")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert "fitting './mine.py:Mine': ValueError: too much" in bad.stderr


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--param", "n_estimators"), "give it as NAME=VALUE"),
        (("--param", "n_estimators=3", "--param", "n_estimators=3"), "it is given twice"),
        (("--param", "n_estimators=4"), "give one of 3, 5"),
        (("--family", "linear"), "search.over has extra_trees"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(folder: Path, words: tuple[str, ...], why: str) -> None:
    refused = fairlead(folder, "score", "spec.yaml", *words)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert why in refused.stderr
