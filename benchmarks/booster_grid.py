"""A grid along rounds, for each booster, against GridSearchCV(n_jobs=2).

    .venv/bin/python benchmarks/booster_grid.py [RUNS]

Five evenly spaced numbers of rounds by four learning rates on California (its missing numbers
filled with the median beforehand, for both). Search phase only; the scores must be identical.

The search phase is timed twice: from the first claim to the last commit, and from the opening of
the study, which counts what the workers need to start and to load their libraries, as the seconds
of GridSearchCV.fit do for its own.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from timing import ROOT, median_ratio, python

BOOSTERS = {
    "xgboost": ("n_estimators", "xgboost:XGBRegressor", {"max_depth": 6}, {"n_jobs": 1}),
    "lightgbm": (
        "n_estimators",
        "lightgbm:LGBMRegressor",
        {"num_leaves": 31},
        {"n_jobs": 1, "verbose": -1},
    ),
    "catboost": (
        "iterations",
        "catboost:CatBoostRegressor",
        {"depth": 6},
        {"thread_count": 1, "verbose": 0, "allow_writing_files": False},
    ),
}
ROUNDS = [100, 200, 300, 400, 500]
RATES = [0.03, 0.06, 0.1, 0.2]
PEER = """
import importlib, json, sys, time
import numpy as np
from sklearn.model_selection import GridSearchCV
asked = json.loads(sys.argv[1])
rows = np.loadtxt(asked["csv"], delimiter=",", skiprows=1)
train = np.loadtxt(asked["train"], dtype=int)
X, y = rows[train, :-1], rows[train, -1]
module, name = asked["estimator"].split(":")
estimator = getattr(importlib.import_module(module), name)(
    random_state=0, **asked["fixed"], **asked["quiet"])
search = GridSearchCV(estimator, asked["grid"], cv=3, scoring="neg_mean_squared_error",
                      n_jobs=2, refit=False)
started = time.monotonic()
search.fit(X, y)
seconds = time.monotonic() - started
folds = [(-search.cv_results_[f"split{k}_test_score"]).tolist() for k in range(3)]
print(json.dumps({"seconds": seconds, "scores": list(zip(*folds))}))
"""


def spec_of(family: str, csv: Path) -> str:
    """The same grid as a spec."""
    stage, _, fixed, _ = BOOSTERS[family]
    params = {stage: ROUNDS, "learning_rate": RATES, **fixed}
    return json.dumps(
        {
            "name": f"grid-{family}",
            "data": {"source": str(csv), "target": "y", "holdout": {"by": "random"}},
            "search": {
                "method": "grid",
                "folds": 3,
                "over": [{"family": family, "params": params}],
            },
            "promote": {"when": "never"},
        }
    )


def prepare(folder: Path) -> tuple[Path, Path]:
    """California with its missing numbers filled, and the training rows in their order."""
    import numpy as np
    from sklearn.impute import SimpleImputer
    from sklearn.model_selection import train_test_split

    from fairlead.data.read import read
    from fairlead.settings import Settings
    from fairlead.spec.document import Data

    data = Data(source="california", impute="median")
    table = read(data, base=folder, settings=Settings(home=folder / "home"))
    x = SimpleImputer(strategy="median").fit_transform(table.features.numbers)
    names = ",".join([*(column.name for column in table.columns), "y"])
    csv, train = folder / "california.csv", folder / "train.txt"
    rows = np.column_stack([x, table.target])
    np.savetxt(csv, rows, delimiter=",", header=names, comments="", fmt="%.17g")
    trained, _ = train_test_split(np.arange(len(x)), test_size=0.2, random_state=0)
    np.savetxt(train, trained, fmt="%d")
    return csv, train


def ours(family: str, folder: Path, csv: Path) -> tuple[float, float, list[list[float]]]:
    """Seconds from the first claim, seconds from the opening, and the scores of each trial."""
    with tempfile.TemporaryDirectory() as home:
        spec = folder / f"{family}.yaml"
        spec.write_text(spec_of(family, csv))
        command = python("-m", "fairlead", "--home", home, "run", str(spec), "--json")
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        with sqlite3.connect(Path(home) / "ledger.db") as ledger:
            begin, end = ledger.execute(
                "select min(at), max(at) from events where kind in ('claimed', 'committed') "
                "and task in (select id from tasks where kind = 'trials')"
            ).fetchone()
            (opened,) = ledger.execute(
                "select min(at) from events where kind = 'opened'"
            ).fetchone()
        scores = [trial["scores"] for trial in json.loads(done.stdout)["trials"]]
        return end - begin, end - opened, scores


def theirs(family: str, csv: Path, train: Path) -> tuple[float, list[list[float]]]:
    """The same of GridSearchCV, on the same rows in the same order."""
    stage, estimator, fixed, quiet = BOOSTERS[family]
    asked = {
        "csv": str(csv),
        "train": str(train),
        "estimator": estimator,
        "fixed": fixed,
        "quiet": quiet,
        "grid": {stage: ROUNDS, "learning_rate": RATES},
    }
    command = python("-c", PEER, json.dumps(asked))
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    answer = json.loads(done.stdout)
    return answer["seconds"], answer["scores"]


def main(runs: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        csv, train = prepare(folder)
        for family in BOOSTERS:
            pairs = [(ours(family, folder, csv), theirs(family, csv, train)) for _ in range(runs)]
            fast, slow = [a[0] for a, _ in pairs], [b[0] for _, b in pairs]
            started = [a[1] for a, _ in pairs]
            same = all(a[2] == b[1] for a, b in pairs)
            print(
                f"{family:<9} fairlead {statistics.median(fast):6.2f} s   GridSearchCV(n_jobs=2) "
                f"{statistics.median(slow):6.2f} s   ratio {median_ratio(slow, fast):.2f}   "
                f"with the workers' start {statistics.median(started):6.2f} s   "
                f"ratio {median_ratio(slow, started):.2f}   "
                f"identical scores: {same}"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
