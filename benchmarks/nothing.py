"""The cost of a trial that does nothing: random search, two workers, SQLite, against Optuna.

    .venv/bin/python benchmarks/nothing.py [TRIALS]

The wall-clock time from the first trial to the last, divided by the trials. Optuna runs its
RandomSampler over the same space in two processes on one SQLite file.
"""

from __future__ import annotations

import multiprocessing
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from timing import ROOT, python

FAMILY = '''
import numpy as np

class Nothing:
    """Fits nothing and predicts zeros."""
    def __init__(self, a=0.0, b=0, random_state=None):
        self.a, self.b = a, b
    def get_params(self, deep=True):
        return {"a": self.a, "b": self.b}
    def set_params(self, **params):
        for name, value in params.items(): setattr(self, name, value)
        return self
    def fit(self, X, y):
        return self
    def predict(self, X):
        return np.zeros(len(X))
'''
SPEC = """
name: nothing
data: {{source: diabetes}}
search:
  method: random
  folds: 2
  trials: {trials}
  over:
    - family: ./nothing.py:Nothing
      params: {{a: {{low: 0.0, high: 1.0}}, b: {{low: 1, high: 100}}}}
promote: {{when: never}}
"""


def ours(trials: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        (Path(folder) / "nothing.py").write_text(FAMILY)
        (Path(folder) / "nothing.yaml").write_text(SPEC.format(trials=trials))
        subprocess.run(
            python(
                "-m",
                "fairlead",
                "--home",
                str(home),
                "run",
                f"{folder}/nothing.yaml",
                "--workers",
                "2",
            ),
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        with sqlite3.connect(home / "ledger.db") as ledger:
            begin, end = ledger.execute(
                "select min(at), max(at) from events where kind = 'committed' "
                "and task in (select id from tasks where kind = 'trials')"
            ).fetchone()
        return 1000 * (end - begin) / (trials - 1)


def _optuna(path: str, trials: int, barrier: object) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(
        study_name="nothing", storage=f"sqlite:///{path}", sampler=optuna.samplers.RandomSampler()
    )
    barrier.wait()
    study.optimize(
        lambda t: t.suggest_float("a", 0, 1) * 0 + t.suggest_int("b", 1, 100) * 0, n_trials=trials
    )


def theirs(trials: int) -> float:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/optuna.db"
        optuna.create_study(study_name="nothing", storage=f"sqlite:///{path}")
        spawn = multiprocessing.get_context("spawn")
        barrier = spawn.Barrier(3)
        workers = [
            spawn.Process(target=_optuna, args=(path, trials // 2, barrier)) for _ in range(2)
        ]
        for worker in workers:
            worker.start()
        barrier.wait()
        started = time.monotonic()
        for worker in workers:
            worker.join()
        return 1000 * (time.monotonic() - started) / trials


def main(trials: int) -> None:
    for _ in range(3):
        mine, peer = ours(trials), theirs(max(100, trials // 10))
        ratio = f"ratio {peer / mine:.1f}"
        print(f"fairlead {mine:.2f} ms a trial   Optuna {peer:.2f} ms a trial   {ratio}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3000)
