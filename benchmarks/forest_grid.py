"""The 108-point forest grid of the Boston example against GridSearchCV(n_jobs=2).

    .venv/bin/python benchmarks/forest_grid.py [RUNS]

Search phase: seconds from the first claim to the last commit, against the seconds of
GridSearchCV.fit without its refit. Whole command: `fairlead run` in an empty home against a script
that reads the data, searches, refits and scores the holdout. The scores must be identical.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from timing import ROOT, median_ratio, python

PEER = """
import json, sys, time
from pathlib import Path
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import GridSearchCV, train_test_split
from fairlead.data.read import read
from fairlead.settings import Settings
from fairlead.spec.document import Data
table = read(Data(source="boston"), base=Path(), settings=Settings(home=Path(sys.argv[1])))
X, y = table.features.numbers, table.target
X, X_held, y, y_held = train_test_split(X, y, test_size=0.2, random_state=42)
grid = {"n_estimators": [50, 100, 200, 300], "max_depth": [None, 10, 20],
        "min_samples_split": [2, 5, 10], "min_samples_leaf": [1, 2, 4]}
search = GridSearchCV(RandomForestRegressor(random_state=42), grid, cv=3,
                      scoring="neg_mean_squared_error", n_jobs=2, refit=False)
started = time.monotonic()
search.fit(X, y)
seconds = time.monotonic() - started
best = RandomForestRegressor(random_state=42, **search.best_params_).fit(X, y)
mean_squared_error(y_held, best.predict(X_held))
folds = [(-search.cv_results_[f"split{k}_test_score"]).tolist() for k in range(3)]
print(json.dumps({"seconds": seconds, "params": search.cv_results_["params"], "folds": folds,
                  "best": search.best_params_}))
"""


def ours(home: str) -> tuple[float, float, dict[str, object]]:
    """Whole seconds, seconds of the search, and what came of it."""
    started = time.monotonic()
    done = subprocess.run(
        python("-m", "fairlead", "--home", home, "run", "examples/boston.yaml", "--json"),
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    whole = time.monotonic() - started
    with sqlite3.connect(Path(home) / "ledger.db") as ledger:
        begin, end = ledger.execute(
            "select min(at), max(at) from events where kind in ('claimed', 'committed') "
            "and task in (select id from tasks where kind = 'trials')"
        ).fetchone()
    return whole, end - begin, json.loads(done.stdout)


def theirs(home: str) -> tuple[float, float, dict[str, object]]:
    """The same of GridSearchCV."""
    started = time.monotonic()
    done = subprocess.run(
        python("-c", PEER, home), cwd=ROOT, check=True, capture_output=True, text=True
    )
    answer = json.loads(done.stdout)
    return time.monotonic() - started, answer["seconds"], answer


def identical(one: dict, other: dict) -> bool:
    """Whether all parameters and all scores of all folds are the same, to the last bit."""
    trials = [(t["params"], t["scores"]) for t in one["trials"]]
    peers = list(zip(other["params"], map(list, zip(*other["folds"], strict=True)), strict=True))
    return trials == peers and one["best"]["params"] == other["best"]


def main(runs: int) -> None:
    pairs = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as home:
            pairs.append((ours(home), theirs(home)))
    same = all(identical(one[2], other[2]) for one, other in pairs)
    print(f"{runs} runs each, in turn; identical scores: {same}")
    for name, index in (("whole command", 0), ("search phase", 1)):
        fast, slow = [a[index] for a, _ in pairs], [b[index] for _, b in pairs]
        print(
            f"{name:<14} fairlead {statistics.median(fast):6.2f} s   GridSearchCV(n_jobs=2) "
            f"{statistics.median(slow):6.2f} s   ratio {median_ratio(slow, fast):.2f}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
