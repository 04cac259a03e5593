"""A table in three formats is one study: the same trials, the same model, the same predictions."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

if TYPE_CHECKING:
    from tests.integration.job.conftest import Place

SPEC = """
name: {form}
data:
  source: rows.{form}
  target: {target}
  impute: mean
  encode: {{code: onehot, town: onehot, when: date}}
  holdout: {{by: random}}
search:
  method: grid
  folds: 2
  over: [{{family: random_forest, params: {{n_estimators: [5, 10], max_depth: 4}}}}]
promote: {{when: always}}
"""
FORMATS = ("csv", "parquet", "jsonl")


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    rows = 120
    made = pd.DataFrame(
        {
            "size": rng.integers(0, 10_000, rows) / 100,
            "code": pd.Series(rng.integers(1, 5, rows)).where(rng.random(rows) < 0.9),
            "town": rng.choice(["Rom", "Oslo", "Bern"], rows),
            "sold": rng.random(rows) < 0.5,
            "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 9999, rows), "h"),
        }
    )
    price = made["size"] + 10 * made["sold"] + made["when"].dt.month
    made["price"] = price.round(2)  # pandas writes ten digits behind the point into JSON
    made["dear"] = made["price"] > made["price"].median()
    return made


def written(place: Place, rows: pd.DataFrame) -> None:
    rows.to_csv(place.folder / "rows.csv")
    rows.to_parquet(place.folder / "rows.parquet")
    rows.to_json(place.folder / "rows.jsonl", orient="records", lines=True, date_format="iso")


@pytest.mark.parametrize("target", ["price", "dear"])
def test_a_table_is_the_same_study_in_every_format(place: Place, target: str) -> None:
    rows = frame().drop(columns="dear" if target == "price" else "price")
    written(place, rows)
    for form in FORMATS:
        place.write(f"{form}.yaml", SPEC.format(form=form, target=target))
        place.json("run", f"{form}.yaml")
    scores = [[trial["scores"] for trial in place.json("trials", form)] for form in FORMATS]
    assert scores[0] == scores[1] == scores[2]
    predictions = [predicted(place, model, file) for model in FORMATS for file in FORMATS]
    assert all(one == predictions[0] for one in predictions)
    assert len(predictions[0]) == len(rows)


def predicted(place: Place, model: str, form: str) -> list[dict[str, Any]]:
    done = place.run("predict", model, f"rows.{form}", "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_rows_to_predict_are_read_as_the_version_has_them(place: Place) -> None:
    rows = frame().drop(columns="dear")
    rows.to_csv(place.folder / "rows.csv", sep=";", decimal=",", index=False, encoding="cp1252")
    spec = SPEC.format(form="csv", target="price").replace(
        "  impute: mean", "  impute: mean\n  decimal: ','\n  encoding: cp1252\n  missing: ['', '-']"
    )
    place.write("spec.yaml", spec)
    place.json("run", "spec.yaml")
    plain = predicted(place, "csv", "csv")
    first = next(csv.reader((place.folder / "rows.csv").read_text().splitlines(), delimiter=";"))
    assert "size" in first
    size = rows["size"].map(lambda number: f"{number}".replace(".", ","))
    odd = rows.assign(size=size.where(size.index != 3, "-"), note="größe")
    odd.to_csv(place.folder / "rows.csv", sep=";", decimal=",", index=False, encoding="cp1252")
    again = predicted(place, "csv", "csv")
    assert [row for row in range(len(rows)) if plain[row] != again[row]] in ([], [3])
