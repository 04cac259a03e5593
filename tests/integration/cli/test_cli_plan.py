"""`fairlead plan`, which times one fit and says nothing of what the fit says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
    told = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert told["search"] == "grid: 1 trial in 1 task"
    assert told["estimate"].startswith("search less than 1 s, from one fit of ")
    assert told["estimate"].endswith("starting the workers, the refit and the gate come on top")
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix) == [
        "loud.py",
        "loud.yaml",
    ]
