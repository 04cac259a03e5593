"""`fairlead export` to CSV and Parquet, read by pandas and pyarrow."""

from __future__ import annotations

import csv
import io
import math
import subprocess
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.integration.interoperation import searched
from tests.integration.interoperation.conftest import Home


def test_csv_has_a_row_for_each_trial_with_every_digit(prices: Home) -> None:
    frame = pd.read_csv(io.StringIO(prices.done("prices", "--to", "csv")))
    assert list(frame["number"]) == list(range(12))
    assert frame["state"].value_counts().to_dict() == {"done": 9, "pruned": 2, "failed": 1}
    for number, line in frame.iterrows():
        trial, result = searched.trial(int(str(number))), searched.result(int(str(number)))
        assert line["family"] == trial.family
        if number == 4:
            assert line["reason"].startswith('Poisson with negative targets, "quoted"')
            assert line["attempts"] == 3
            continue
        assert line["seconds"] == result.seconds
        scores = [line[f"fold.{fold}"] for fold in range(len(result.scores))]
        assert tuple(scores) == result.scores
        curve = [line[f"epoch.{epoch}"] for epoch in (1, 2)]
        assert tuple(curve) == result.curve or (pd.isna(curve).all() and not result.curve)
        assert line["score"] == result.score or (math.isnan(line["score"]) and not result.score)
        for name in ("learning_rate", "alpha", "num_leaves"):
            if name in trial.params:
                assert line[f"params.{name}"] == trial.params[name]


def test_csv_tells_a_value_that_is_null_from_a_parameter_that_is_not_there(prices: Home) -> None:
    rows = list(csv.DictReader(io.StringIO(prices.done("prices", "--to", "csv"))))
    assert [row["params.max_depth"] for row in rows[:5]] == ["5", "3", "", "null", "9"]
    assert rows[4]["params.max_features"] == "true"
    assert rows[7]["params.max_features"] == "1"


def test_parquet_has_typed_columns(prices: Home, tmp_path: Path) -> None:
    prices.done("prices", "--output", str(tmp_path / "trials.parquet"))
    table = pq.read_table(tmp_path / "trials.parquet")
    types = dict(zip(table.schema.names, table.schema.types, strict=True))
    assert types["number"] == types["params.num_leaves"] == types["params.max_depth"] == pa.int64()
    assert {types[name] for name in ("params.alpha", "score", "fold.2", "epoch.2")} == {
        pa.float64()
    }
    assert types["params.max_features"] == types["reason"] == pa.string()
    assert types["began"] == types["ended"] == pa.timestamp("us", tz="UTC")
    assert table["params.learning_rate"][3].as_py() == searched.trial(3).params["learning_rate"]
    assert table["params.max_features"].to_pylist()[1:11:3] == ["0.5", "true", "1", "sqrt"]
    frame = table.to_pandas()
    assert (frame["ended"] >= frame["began"]).all()


def test_trials_that_have_not_ended_have_a_row_without_scores(home: Home, tmp_path: Path) -> None:
    home.folder.mkdir()
    home.search(until=2)
    said = home.json("prices", "--output", str(tmp_path / "trials.parquet"))
    assert said["trials"] == 12
    rows = pq.read_table(tmp_path / "trials.parquet").to_pylist()
    assert [row["state"] for row in rows[:4]] == ["done", "done", "running", "waiting"]
    assert rows[2]["began"] is not None
    assert rows[2]["ended"] is rows[2]["score"] is rows[3]["began"] is None


def test_a_study_without_a_trial_is_a_header(home: Home, tmp_path: Path) -> None:
    home.folder.mkdir()
    with searched.opened(home.folder) as ledger:
        ledger.studies.open(searched.study_of())
    assert home.done("prices", "--to", "csv").splitlines() == [
        "number,state,family,score,seconds,attempts,began,ended,reason"
    ]
    home.done("prices", str(tmp_path / "none.parquet"))
    assert pq.read_table(tmp_path / "none.parquet").num_rows == 0


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--to", "parquet"], "--to parquet needs --output FILE"),
        ([], "say what to export to: --to, or --output FILE"),
        (["--output", "trials.txt"], "'trials.txt' ends neither in .csv nor in .parquet"),
        (["--to", "csv", "--output", "t.parquet"], "'t.parquet' is to be csv, and its name says"),
        (["--to", "csv", "--json"], "--json and CSV would both go to stdout"),
        (["--to", "csv", "--name", "x"], "--name is for optuna and mlflow"),
        (["--to", "csv", "a.csv", "--output", "b.csv"], "two files are named"),
        (["sqlite:///x.db"], "a URL needs --to optuna or --to mlflow"),
        (["--to", "optuna"], "--to optuna needs a URL, such as sqlite:///optuna.db"),
        (["--to", "optuna", "--output", "x.db"], "--output is for csv and parquet"),
    ],
)
def test_a_request_that_cannot_be_is_refused(prices: Home, words: list[str], line: str) -> None:
    assert line in prices.refused(2, "prices", *words)
    assert {path.name for path in prices.folder.parent.iterdir()} == {"home"}


def test_another_study_is_suggested(prices: Home) -> None:
    assert "did you mean 'prices'?" in prices.refused(2, "price", "--to", "csv")


def test_a_file_that_cannot_be_written_is_said_in_a_line(prices: Home, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = prices.refused(1, "prices", "--output", str(tmp_path / "file" / "trials.csv"))
    assert "writing the trials to" in line


def test_a_file_is_left_as_it_was_where_the_disk_is_full(prices: Home, tmp_path: Path) -> None:
    (tmp_path / "trials.csv").write_text("before")
    limited = f"ulimit -f 0; exec {' '.join(prices.command('prices', '--output', 'trials.csv'))}"
    done = subprocess.run(
        ["bash", "-c", limited], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert (tmp_path / "trials.csv").read_text() == "before"
