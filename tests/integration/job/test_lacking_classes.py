"""Promises of a holdout that lacks a class: it is named everywhere, and a stratified one has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.job.conftest import Place

SPEC = """
name: wines
data: {source: SOURCE, target: kind, holdout: {by: random}, seed: SEED}
search:
  method: grid
  folds: 2
  over: [{family: extra_trees, params: {n_estimators: 5}}]
"""
RARE = 3  # rows of the third kind that are kept
WRITERS: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "parquet": lambda frame, path: frame.to_parquet(path, index=False),
}


def wines() -> pd.DataFrame:
    """Three kinds of wine, of which the third is rare."""
    x, y = load_wine(return_X_y=True, as_frame=True)
    frame = x.assign(kind=y.map({0: "barolo", 1: "grignolino", 2: "barbera"}))
    rare = frame[frame.kind == "barbera"].head(RARE)
    return pd.concat([frame[frame.kind != "barbera"], rare], ignore_index=True)


def seed_without(frame: pd.DataFrame) -> int:
    """The first seed with which train_test_split holds out no row of the rare kind."""
    return next(
        seed
        for seed in range(100)
        if "barbera" not in set(train_test_split(frame.kind, test_size=0.2, random_state=seed)[1])
    )


@pytest.mark.parametrize("layout", WRITERS)
def test_a_class_without_a_row_is_named_by_plan_verdict_and_report(
    place: Place, layout: str
) -> None:
    frame = wines()
    WRITERS[layout](frame, place.folder / f"wines.{layout}")
    text = SPEC.replace("SOURCE", f"wines.{layout}").replace("SEED", str(seed_without(frame)))
    place.write("spec.yaml", text)
    planned = place.json("plan", "spec.yaml", "--no-timing")
    [remark] = [line for line in planned["remarks"] if "barbera" in line]
    assert remark == (
        "data.holdout: none of its 27 rows is of class 'barbera' of 'kind', so nothing judges how "
        "well that is predicted; set data.holdout: {by: random, stratify: true}"
    )
    found = place.json("run", "spec.yaml")
    assert "no row of class 'barbera' is among them" in found["verdict"]
    assert place.run("report", found["study"], "--output", "report.html").returncode == 0
    page = (place.folder / "report.html").read_text()
    assert (
        "No row is of class &#39;barbera&#39;." in page or "No row is of class 'barbera'." in page
    )


def test_a_stratified_holdout_is_that_of_scikit_learn(place: Place) -> None:
    frame = wines()
    frame.to_csv(place.folder / "wines.csv", index=False)
    seed = seed_without(frame)
    place.write("spec.yaml", SPEC.replace("SOURCE", "wines.csv").replace("SEED", str(seed)))
    stratify = ("--set", "data.holdout.stratify=true")
    remarks = place.json("plan", "spec.yaml", "--no-timing", *stratify)["remarks"]
    assert not [line for line in remarks if "barbera" in line]
    found = place.json("run", "spec.yaml", *stratify)
    train, held = train_test_split(frame, test_size=0.2, random_state=seed, stratify=frame.kind)
    assert "barbera" in set(held.kind)
    model = ExtraTreesClassifier(5, random_state=seed)
    model.fit(train.drop(columns="kind").to_numpy(), train.kind)
    predicted = model.predict(held.drop(columns="kind").to_numpy())
    assert found["holdout_score"] == accuracy_score(held.kind, predicted)
    assert "among them" not in found["verdict"]
    assert np.isclose(len(held), 0.2 * len(frame), atol=1)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("data.holdout={stratify: true}", "data.holdout.stratify needs by: random"),
        ("data.target=alcohol", "data.holdout.stratify: target 'alcohol' is a number"),
    ],
)
def test_what_cannot_be_stratified_is_refused_with_a_line(
    place: Place, setting: str, said: str
) -> None:
    wines().to_csv(place.folder / "wines.csv", index=False)
    text = SPEC.replace("SOURCE", "wines.csv").replace("SEED", "0")
    place.write("spec.yaml", text.replace("{by: random}", "{by: random, stratify: true}"))
    more = ("--set", "data.encode={kind: onehot}") if "alcohol" in setting else ()
    done = place.run("plan", "spec.yaml", "--set", setting, *more)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
