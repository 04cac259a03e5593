"""A search is the same in every process."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
from fairlead.records import Result
from fairlead.search.catalog import search_for
from fairlead.spec.document import Spec

forest = {"depth": [None, 3, 10], "leaf": {"low": 1, "high": 64, "log": True}, "share": [0.1, 0.5]}
booster = {"rate": {"low": 0.001, "high": 1.0}, "depth": {"low": 2, "high": 12}}
spec = Spec.model_validate({
    "name": "x",
    "data": {"source": "boston"},
    "search": {
        "method": "tpe",
        "over": [{"family": "a", "params": forest}, {"family": "b", "params": booster}],
    },
})
search = search_for(spec, {}, task="regression", greater_is_better=False)
history = []
for number in range(40):
    trial = search.suggest(number, history)
    print(trial)
    score = float(trial.params["depth"] or 1)
    history.append(Result(number=number, state="done", scores=(score, score), score=score))
"""


def run(hash_seed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )


def test_two_processes_search_alike_and_optuna_says_nothing() -> None:
    one, other = run("1"), run("2")
    assert one.stdout == other.stdout
    assert one.stdout.count("Trial(") == 40
    assert one.stderr == ""
