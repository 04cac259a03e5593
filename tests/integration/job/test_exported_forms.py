"""Promises of a run whose exported form needs a link, or cannot predict what was trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostRegressor
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import train_test_split

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.job.conftest import Place

COUNTS = """
name: counts
data: {source: counts.csv, target: calls, holdout: {by: random}}
search:
  method: grid
  folds: 2
  over: [{family: catboost, params: {iterations: 60, loss_function: LOSS}}]
"""
CLICKS = """
name: clicks
data: {source: SOURCE, target: amount, holdout: {by: random}}
search:
  method: grid
  folds: 2
  over: [{family: lightgbm, params: {n_estimators: 50, min_child_samples: 1}}]
"""
NAMED = (
    "column 'seen' has numbers beyond 16,777,216 that an exported model's float32 rounds: subtract "
    "a constant such as the smallest in the file, or leave it out (data.drop)"
)
WRITERS: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "parquet": lambda frame, path: frame.to_parquet(path, index=False),
}


def counts() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 3)).round(3)
    frame = pd.DataFrame(x, columns=list("abc"))
    return frame.assign(calls=rng.poisson(np.exp(1 + x[:, 0])) + 0.5)


@pytest.mark.parametrize("loss", ["Poisson", "Tweedie:variance_power=1.5"])
def test_a_model_with_a_log_link_is_judged_by_what_catboost_predicts(
    place: Place, loss: str
) -> None:
    frame = counts()
    frame.to_csv(place.folder / "counts.csv", index=False)
    place.write("spec.yaml", COUNTS.replace("LOSS", f"'{loss}'"))
    found = place.json("run", "spec.yaml")
    train, held = train_test_split(frame, test_size=0.2, random_state=0)
    model = CatBoostRegressor(
        iterations=60,
        loss_function=loss,
        random_seed=0,
        thread_count=1,
        verbose=False,
        allow_writing_files=False,
    ).fit(train[list("abc")].to_numpy(), train.calls)
    theirs = mean_squared_error(held.calls, model.predict(held[list("abc")].to_numpy()))
    assert found["holdout_score"] == pytest.approx(theirs, rel=1e-5)
    assert found["promoted"]


def test_an_objective_without_an_exported_form_is_named_by_plan(place: Place) -> None:
    counts().to_csv(place.folder / "counts.csv", index=False)
    text = COUNTS.replace("catboost", "xgboost").replace("iterations: 60", "n_estimators: 5")
    either = "objective: ['reg:squarederror', 'binary:hinge', 'count:poisson']"
    place.write("spec.yaml", text.replace("loss_function: LOSS", either))
    [remark] = place.json("plan", "spec.yaml", "--no-timing")["remarks"]
    assert remark.startswith(
        "search.over[0].family: it cannot become champion: xgboost: objective 'binary:hinge' has no"
    )


def clicks(*, since: int) -> pd.DataFrame:
    """Amounts that rise by the second, so that trees split between neighbours."""
    rng = np.random.default_rng(0)
    seconds = rng.permutation(600)
    amounts = seconds + rng.normal(size=600)
    return pd.DataFrame({"seen": seconds + since, "other": rng.normal(size=600), "amount": amounts})


@pytest.mark.parametrize("layout", WRITERS)
def test_a_column_that_float32_rounds_is_named_by_plan_and_verdict(
    place: Place, layout: str
) -> None:
    WRITERS[layout](clicks(since=1_700_000_000), place.folder / f"clicks.{layout}")
    place.write("spec.yaml", CLICKS.replace("SOURCE", f"clicks.{layout}"))
    remarks = place.json("plan", "spec.yaml", "--no-timing")["remarks"]
    [remark] = [line for line in remarks if "float32" in line]
    assert remark == f"{NAMED}; otherwise it may not predict what was trained"
    done = place.run("run", "spec.yaml")
    assert done.returncode == 1
    assert "kept, not promoted: its exported form does not predict what was trained" in done.stderr
    assert NAMED in done.stderr
    history = place.run("history", "clicks").stdout
    assert "column 'seen'" in " ".join(history.split())


def test_what_is_advised_helps(place: Place) -> None:
    clicks(since=0).to_csv(place.folder / "clicks.csv", index=False)
    place.write("spec.yaml", CLICKS.replace("SOURCE", "clicks.csv"))
    remarks = place.json("plan", "spec.yaml", "--no-timing")["remarks"]
    assert not [line for line in remarks if "float32" in line]
    assert place.json("run", "spec.yaml")["promoted"]
