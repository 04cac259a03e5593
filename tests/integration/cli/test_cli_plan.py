"""`fairlead plan`, which times one fit, says nothing of what it says, and outlives its failure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LOUD = """
import warnings
from sklearn.linear_model import Ridge

class Loud(Ridge):
    def __init__(self, alpha=1.0):
        super().__init__(alpha=alpha)

    def fit(self, X, y):
        warnings.warn("look at me")
        return super().fit(X, y)
"""
SPEC = """
name: loud
data: {source: diabetes}
search:
  method: grid
  folds: 2
  over:
    - family: ./loud.py:Loud
      params: {alpha: 1.0}
"""
FAILING = """
import sys
from sklearn.linear_model import Ridge

class Wrong(Ridge):
    def __init__(self, alpha=1.0):
        super().__init__(alpha=alpha)

    def fit(self, X, y):
        {failing}
"""
WRONG = """
name: wrong
data: {{source: diabetes}}
search: {{method: grid, folds: 2, over: [{over}]}}
"""


def test_warnings_of_the_fit_that_is_timed_stay_out_of_the_plan(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(LOUD)
    (tmp_path / "loud.yaml").write_text(SPEC)
    done = subprocess.run(
        [sys.executable, "-m", "fairlead", "plan", "loud.yaml", "--workers", "1"],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    said, _, _ = done.stdout.partition("\n\n")  # before the table of columns
    told = dict(line.split(maxsplit=1) for line in said.splitlines())
    assert told["search"] == "grid: 1 trial in 1 task"
    assert told["estimate"].startswith("search less than 1 s, from one fit of ")
    assert told["estimate"].endswith("starting the workers, the refit and the gate come on top")
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix) == [
        "loud.py",
        "loud.yaml",
    ]


def refused_by_the_library(folder: Path, over: str) -> dict[str, Any]:
    """The plan, as JSON, of a spec whose fits all fail; it leaves the folder as it was."""
    (folder / "wrong.yaml").write_text(WRONG.format(over=over))
    before = sorted(folder.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-m", "fairlead", "--home", "home", "plan", "wrong.yaml", "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(folder.rglob("*")) == before
    answer: dict[str, Any] = json.loads(done.stdout)
    assert answer["remarks"][-1] in done.stderr.splitlines()
    return answer


@pytest.mark.parametrize(
    ("family", "params", "why"),
    [
        ("random_forest", "bootstrap: false, max_samples: 0.5", "ValueError: `max_sample` cannot"),
        ("xgboost", "max_depth: -5", "XGBoostError: value -5 for Parameter max_depth should be"),
        ("lightgbm", "num_leaves: 1", "LightGBMError: Check failed: (num_leaves) > (1)"),
        ("catboost", "depth: 100", "CatBoostError: "),
        ("sklearn.svm:SVR", "kernel: precomputed", "ValueError: Precomputed matrix must be a"),
    ],
)
def test_a_fit_that_fails_leaves_the_plan_without_its_estimate(
    tmp_path: Path, family: str, params: str, why: str
) -> None:
    if family in {"xgboost", "lightgbm", "catboost"}:
        pytest.importorskip(family)
    answer = refused_by_the_library(tmp_path, f'{{family: "{family}", params: {{{params}}}}}')
    assert (answer["trials"], answer["seconds_a_fit"], answer["seconds"]) == (1, None, None)
    (remark,) = answer["remarks"]
    assert remark.startswith(
        f"no estimate: fitting trial 0 ({family}) to time it failed, "
        f"as it would in a run, which goes on with the other trials: {why}"
    )


@pytest.mark.parametrize(
    ("failing", "why"),
    [
        ("sys.exit(0)", "SystemExit: 0"),
        ("sys.exit()", "SystemExit"),
        (r"raise ValueError('\n  no luck \nat all')", "ValueError: no luck"),
        ("raise ValueError('x' * 1000)", f"ValueError: {'x' * 200}"),
    ],
)
def test_why_a_fit_failed_is_the_first_line_of_what_it_raised(
    tmp_path: Path, failing: str, why: str
) -> None:
    (tmp_path / "wrong.py").write_text(FAILING.format(failing=failing))
    answer = refused_by_the_library(tmp_path, "{family: './wrong.py:Wrong', params: {alpha: 1.0}}")
    (remark,) = answer["remarks"]
    assert remark.endswith(f" the other trials: {why}")
