"""A model of truth values, codes and dates is asked as its training file was written.

Each row that pandas wrote, sent as a request has it, has the prediction of the training file's row.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fairlead.data.read import read
from fairlead.data.table import Table
from fairlead.families import catalog
from fairlead.inference import Exported
from fairlead.serving.proof import Golden, asked, golden, prove
from fairlead.serving.protocol.infer import parse_infer
from fairlead.serving.protocol.rows import parse_rows
from fairlead.settings import Settings
from fairlead.spec.document import Data
from fairlead.training.export import export
from fairlead.training.prepare import Preparation
from fairlead.training.refit import GOLDEN_ROWS, _golden

ROWS = 200
FORMATS = ("csv", "parquet", "jsonl")
DATA: dict[str, Any] = {
    "target": "y",
    "encode": {"zip": "onehot", "town": "onehot", "when": "date", "new": "onehot"},
}


@dataclass(frozen=True)
class Model:
    """A forest trained on a file, and the frame that the file was written from."""

    frame: pd.DataFrame
    table: Table
    exported: Exported
    impute: bool

    @property
    def predicted(self) -> Any:
        return self.exported.predict(self.table.features)


def frame(*, gaps: bool) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    made = pd.DataFrame(
        {
            "zip": rng.integers(2130, 2135, ROWS),
            "sold": rng.random(ROWS) < 0.5,
            "town": rng.choice(["Salem", "Lynn", "Hull"], ROWS),
            "rooms": rng.normal(6, 1, ROWS).astype(np.float32).astype(float),
            "when": pd.Timestamp("2019-12-30T01:00")
            + pd.to_timedelta(rng.integers(0, 9_999, ROWS), "h"),
            "new": rng.random(ROWS) < 0.5,
        }
    )
    made["y"] = made.zip * made.rooms + made.sold * 50 + made.when.dt.hour + made.new * 9
    if gaps:
        made["when"] = made["when"].where(rng.random(ROWS) > 0.1)
        made["zip"] = made["zip"].where(rng.random(ROWS) > 0.1)  # floats from here on
        made["town"] = made["town"].where(rng.random(ROWS) > 0.1, None)
    return made


def write(made: pd.DataFrame, path: Path) -> None:
    match path.suffix:
        case ".csv":
            made.to_csv(path, index=False)
        case ".parquet":
            made.to_parquet(path)
        case _:
            made.to_json(path, orient="records", lines=True, date_format="iso")


def trained(path: Path, *, gaps: bool) -> Model:
    made = frame(gaps=gaps)
    write(made, path)
    data = Data(source=path.name, impute="median" if gaps else None, **DATA)
    table = read(data, base=path.parent, settings=Settings(home=path.parent / "home"))
    preparation = Preparation.fit(table.features, data)
    family = catalog.family("random_forest", base=Path())
    estimator = family.build({"n_estimators": 20}, "regression", seed=0, threads=1)
    fitted = family.fit(
        estimator, preparation.transform(table.features), table.target, classes=None
    )
    content = export(preparation, family, fitted, table.signature)
    return Model(made, table, Exported(content, table.signature), gaps)


@pytest.fixture(params=[(form, gaps) for form in FORMATS for gaps in (False, True)], ids=str)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Model:
    form, gaps = request.param
    return trained(tmp_path / f"rows.{form}", gaps=gaps)


def plain(value: Any) -> Any:
    """A value of pandas as a client has it."""
    if value is None or value is pd.NaT or value != value:  # noqa: PLR0124 - NaN
        return None
    return (
        value.isoformat()
        if isinstance(value, pd.Timestamp)
        else getattr(value, "item", lambda: value)()
    )


def requests(model: Model) -> list[dict[str, Any]]:
    rows = model.frame.drop(columns="y").astype(object).to_dict("records")
    return [{name: plain(value) for name, value in row.items()} for row in rows]


def test_golden_rows_are_as_a_request_has_them_and_are_proved(model: Model) -> None:
    table = model.table
    kept = golden(json.dumps(_golden(table.features, model.predicted, table.signature)).encode())
    prove(model.exported, asked(kept, table.signature, missing=model.impute), kept)
    for row, wanted in zip(kept.rows, requests(model)[:GOLDEN_ROWS], strict=True):
        assert row["sold"] is wanted["sold"]
        assert (row["when"] is None) == (wanted["when"] is None)
        if row["when"] is not None:
            assert pd.Timestamp(row["when"]) == pd.Timestamp(wanted["when"])


def test_a_version_without_golden_rows_is_asked_a_row_that_it_takes(model: Model) -> None:
    none = Golden(rows=[], predictions=[])
    prove(model.exported, asked(none, model.table.signature, missing=model.impute), none)


def test_each_row_as_a_client_has_it_has_the_prediction_of_its_file(model: Model) -> None:
    signature, rows = model.table.signature, requests(model)
    names = [*rows[0]]
    for document in (
        {"rows": rows},
        {"columns": names, "rows": [[row[name] for name in names] for row in rows]},
    ):
        body = json.dumps(document).encode()
        found = parse_rows(body, signature, missing=model.impute, most_rows=ROWS)
        assert np.array_equal(model.exported.ask(found.inputs, ROWS), model.predicted)


def test_each_column_as_an_input_has_the_prediction_of_its_file(model: Model) -> None:
    datatypes = {"town": "BYTES", "when": "BYTES", "rooms": "FP64", "sold": "BOOL", "new": "BOOL"}
    datatypes["zip"] = "FP64" if model.impute else "INT64"
    rows = requests(model)
    inputs = [
        {"name": name, "datatype": kind, "shape": [ROWS], "data": [row[name] for row in rows]}
        for name, kind in datatypes.items()
    ]
    body = json.dumps({"inputs": inputs}).encode()
    found = parse_infer(body, None, model.table.signature, missing=model.impute, most_rows=ROWS)
    assert np.array_equal(model.exported.ask(found.inputs, ROWS), model.predicted)
