"""Two autoscalers over one ledger, of which one waits for the end of the other."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SPEC = """
name: prices
data: {{source: boston, target: MEDV, seed: 1}}
search:
  method: random
  trials: {trials}
  folds: 3
  over: [{{family: "./slow.py:Slow", params: {{min_samples_leaf: {{low: 1, high: 30}}}}}}]
promote: {{when: never}}
"""
SLOW = """
import time

from sklearn.tree import DecisionTreeRegressor


class Slow(DecisionTreeRegressor):
    def fit(self, X, y, sample_weight=None, check_input=True):
        time.sleep({seconds})
        return super().fit(X, y, sample_weight, check_input)
"""


def slow_spec(folder: Path, *, trials: int, seconds: float) -> Path:
    """A spec whose fits take so long, and the file of their family beside it."""
    (folder / "slow.py").write_text(SLOW.format(seconds=seconds))
    spec = folder / "prices.yaml"
    spec.write_text(SPEC.format(trials=trials))
    return spec


def command(home: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "fairlead", "--home", str(home), *words]


def done(home: Path, *words: str, environ: Mapping[str, str]) -> str:
    """What the command printed, which must end well."""
    ended = subprocess.run(
        command(home, *words),
        env=environ,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def started(
    log: Path, home: Path, *words: str, environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """The command in the background; what it prints is in the log."""
    with log.open("wb") as output:
        return subprocess.Popen(
            command(home, *words),
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


def scored(trials: str) -> list[Any]:
    return [
        (one["number"], one["params"], one["scores"], one["state"]) for one in json.loads(trials)
    ]


def causes(folder: Path, name: str) -> list[str]:
    """Of the decisions that the autoscaler printed into its log in the folder."""
    lines = (folder / f"{name}.log").read_text().splitlines()
    return [json.loads(line)["cause"] for line in lines if line.startswith("{")]


def waiting(folder: Path) -> str:
    """Which of the autoscalers `one` and `two` waits for the end of the other."""
    said = "waiting for its end"
    return next((one for one in ("one", "two") if said in (folder / f"{one}.log").read_text()), "")
