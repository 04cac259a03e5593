"""The main job on the Boston data finds what scikit-learn's own grid search finds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import GridSearchCV, train_test_split

from fairlead.data.read import read
from fairlead.ledger.store import open_ledger
from fairlead.settings import Settings
from fairlead.spec.document import Data

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(900)  # as long as it takes on a busy machine
GRID = {
    "n_estimators": [50, 100, 200, 300],
    "max_depth": [None, 10, 20],
    "min_samples_split": [2, 5, 10],
    "min_samples_leaf": [1, 2, 4],
}


def fairlead(home: Path, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "fairlead", "--home", str(home), *args],
        cwd=ROOT,
        env={**os.environ, "FAIRLEAD_MLFLOW_URI": "none"},
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def attempts(home: Path) -> int:
    with open_ledger(home / "ledger.db") as ledger:
        return len(ledger.studies.events("boston-prices"))


@pytest.fixture(scope="module")
def home(boston: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(boston / "home", tmp_path_factory.mktemp("boston") / "home")


@pytest.fixture(scope="module")
def outcome(boston: Path) -> Any:
    return json.loads((boston / "outcome.json").read_text())


@pytest.fixture(scope="module")
def split(home: Path) -> Any:
    table = read(Data(source="boston"), base=ROOT, settings=Settings(home=home))
    return train_test_split(table.features.numbers, table.target, test_size=0.2, random_state=42)


def test_every_score_of_every_fold_is_that_of_grid_search_cv_to_the_last_bit(
    outcome: Any, split: Any
) -> None:
    x, _, y, _ = split
    search = GridSearchCV(
        RandomForestRegressor(random_state=42),
        GRID,
        cv=3,
        scoring="neg_mean_squared_error",
        n_jobs=2,
        refit=False,
    ).fit(x, y)
    results = search.cv_results_
    folds = zip(*[(-results[f"split{fold}_test_score"]).tolist() for fold in range(3)], strict=True)
    expected = list(zip(results["params"], map(list, folds), strict=True))
    assert [(trial["params"], trial["scores"]) for trial in outcome["trials"]] == expected
    assert outcome["best"]["params"] == search.best_params_
    assert outcome["best"]["score"] == -search.best_score_


def test_the_refitted_model_scores_as_scikit_learns_own(outcome: Any, split: Any) -> None:
    x, held, y, true = split
    model = RandomForestRegressor(random_state=42, **outcome["best"]["params"]).fit(x, y)
    own = mean_squared_error(true, model.predict(held))
    assert outcome["holdout_score"] == pytest.approx(own, rel=1e-6)
    assert outcome["promoted"] is True


def test_running_it_again_shows_it_and_does_no_work(home: Path, outcome: Any) -> None:
    before = attempts(home), sorted((home / "artifacts").rglob("*"))
    again = json.loads(fairlead(home, "run", "examples/boston.yaml", "--json"))
    assert {**again, "verdict": ""} == {**outcome, "verdict": ""}
    assert (attempts(home), sorted((home / "artifacts").rglob("*"))) == before


def test_the_champion_predicts_rows_of_a_file(home: Path, outcome: Any, tmp_path: Path) -> None:
    table = read(Data(source="boston"), base=ROOT, settings=Settings(home=home))
    names = [column.name for column in table.columns]
    rows = tmp_path / "rows.csv"
    lines = [
        ",".join(names),
        *(",".join(map(repr, row)) for row in table.features.numbers[:5].tolist()),
    ]
    rows.write_text("\n".join(lines) + "\n")
    printed = fairlead(home, "predict", outcome["model"], str(rows)).splitlines()
    assert printed[0] == "prediction"
    assert all(0 < float(line) < 60 for line in printed[1:])
    assert len(printed) == 6


def test_a_version_is_reproduced_bit_for_bit(home: Path, outcome: Any) -> None:
    answer = json.loads(fairlead(home, "reproduce", "boston-prices", "1", "--json"))
    assert answer["equal"] is True
    assert answer["differences"] == []
    assert answer["trials"] == len(outcome["trials"])
