"""Promises of the commands about models, as a person types them."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet
import pytest

from fairlead.cli.main import main
from fairlead.registry.mlflow import OFF

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.integration.registry.conftest import Workshop

MODEL = "prices"
Fairlead = "Callable[..., tuple[int, str, str]]"


@pytest.fixture
def fairlead(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Any:
    """Runs the command; gives its exit status, stdout and stderr."""
    monkeypatch.setenv("FAIRLEAD_MLFLOW_URI", OFF)
    monkeypatch.setenv("FAIRLEAD_HOME", str(workshop.settings.home))

    def run(*args: str) -> tuple[int, str, str]:
        capfd.readouterr()
        status = main(list(args))
        captured = capfd.readouterr()
        return status, captured.out, captured.err

    return run


def rows(workshop: Workshop, path: Path, *, count: int = 5) -> Path:
    """Some holdout rows as CSV: their columns in another order, with one that nobody knows."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["d", "comment", "b", "a", "c"])
        for a, b, c, d in workshop.x[200 : 200 + count].tolist():
            writer.writerow([d, "text, with a comma", b, a, c])
    return path


def expected(workshop: Workshop, number: int, count: int = 5) -> list[float]:
    version = workshop.ledger.versions.get(MODEL, number)
    features = workshop.features(slice(200, 200 + count))
    return workshop.registry.exported(version).predict(features).tolist()


def singles(written: Iterable[Any]) -> list[float]:
    """What is read back as float32, which is what a model gives, as exact float64."""
    return np.array([float(value) for value in written], dtype=np.float32).astype(float).tolist()


def test_models_shows_the_champion_and_its_score(workshop: Workshop, fairlead: Any) -> None:
    for error in (0.5, 0.0):
        workshop.consider(workshop.version(error, holdout_score=error))
    status, out, _ = fairlead("models", "--json")
    assert status == 0
    (row,) = json.loads(out)
    assert isinstance(row.pop("created"), float)
    assert row == {
        "model": MODEL,
        "champion": 2,
        "versions": 2,
        "metric": "mse",
        "holdout_score": 0.0,
        "live": None,
        "mlflow": "4 waiting",
    }
    assert fairlead("models", "--csv")[1].splitlines()[1].startswith("prices,2,2,mse,0.0,")
    table = fairlead("models")[1]
    assert max(map(len, table.splitlines())) <= 80
    assert MODEL in table


def test_models_shows_a_model_without_champion(workshop: Workshop, fairlead: Any) -> None:
    workshop.version(0.0)
    assert json.loads(fairlead("models", "--json")[1])[0]["champion"] is None


def test_models_of_a_home_where_nothing_ran_is_refused_and_makes_nothing(
    fairlead: Any, tmp_path: Path
) -> None:
    status, out, err = fairlead("--home", str(tmp_path / "none"), "models")
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "none").exists()


def test_history_tells_who_became_champion_and_who_did_not(
    workshop: Workshop, fairlead: Any
) -> None:
    for error in (0.5, 0.0, 2.0):
        workshop.consider(workshop.version(error))
    fairlead("rollback", MODEL, "--why", "worse on Monday")
    out = fairlead("history", MODEL)[1]
    for words in ("gate, was none", "gate, was v1", "judged", "rollback, was v2", "worse on"):
        assert words in out
    told = json.loads(fairlead("history", MODEL, "--json")[1])
    assert [entry["version"] for entry in told["promotions"]] == [1, 2, 1]
    decisions = [entry["verdict"]["decision"] for entry in told["judgements"]]
    assert decisions == ["promote", "promote", "keep"]


def test_promote_and_rollback_change_the_champion_and_say_so(
    workshop: Workshop, fairlead: Any
) -> None:
    for error in (0.0, 1.0):
        workshop.version(error)
    assert fairlead("promote", MODEL, "v1", "--why", "x")[:2] == (
        0,
        "prices: champion v1 (the first)\n",
    )
    assert fairlead("promote", MODEL, "2", "--why", "x")[1] == "prices: champion v2 (was v1)\n"
    assert fairlead("rollback", MODEL, "--why", "x")[1] == "prices: champion v1 (was v2)\n"
    status, out, err = fairlead("promote", MODEL, "1", "--why", "x")
    assert (status, out) == (0, "")
    assert "already" in err
    assert workshop.champion() == 1


@pytest.mark.parametrize(
    "args",
    [
        ("promote", MODEL, "9", "--why", "x"),
        ("promote", MODEL, "0", "--why", "x"),
        ("promote", MODEL, "one", "--why", "x"),
        ("promote", MODEL, "1"),
        ("promote", MODEL, "1", "--why", " "),
        ("promote", "nobody", "1", "--why", "x"),
        ("rollback", MODEL, "--why", "x"),
        ("history", "nobody"),
        ("predict", "nobody", "rows.csv"),
        ("predict", MODEL, "rows.csv"),
        ("predict", MODEL, "rows.csv", "--version", "1"),
        ("predict", MODEL, "rows.csv", "--version", "7"),
        ("predict", MODEL, "rows.csv", "--json", "--format", "csv"),
    ],
)
def test_a_wrong_request_is_refused_in_one_line(
    workshop: Workshop, fairlead: Any, args: tuple[str, ...]
) -> None:
    workshop.version(0.0)
    status, out, err = fairlead(*args)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert workshop.champion() is None


def test_predict_asks_the_champion_and_finds_columns_by_name(
    workshop: Workshop, fairlead: Any, tmp_path: Path
) -> None:
    for error in (0.5, 0.0):
        workshop.consider(workshop.version(error))
    file = rows(workshop, tmp_path / "rows.csv")
    header, *predicted = fairlead("predict", MODEL, str(file))[1].splitlines()
    assert header == "prediction"
    assert singles(predicted) == expected(workshop, 2)
    older = fairlead("predict", MODEL, str(file), "--version", "1", "--json")[1]
    assert singles(row["prediction"] for row in json.loads(older)) == expected(workshop, 1)


def test_predict_writes_what_is_asked_for(
    workshop: Workshop, fairlead: Any, tmp_path: Path
) -> None:
    workshop.consider(workshop.version(0.0))
    file, predicted = rows(workshop, tmp_path / "rows.csv"), expected(workshop, 1)
    lines = fairlead("predict", MODEL, str(file), "--format", "jsonl")[1].splitlines()
    assert singles(json.loads(line)["prediction"] for line in lines) == predicted
    target = tmp_path / "predicted.parquet"
    assert fairlead("predict", MODEL, str(file), "--output", str(target))[:2] == (0, "")
    assert pyarrow.parquet.read_table(target).to_pydict() == {"prediction": predicted}
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "home",
        "predicted.parquet",
        "rows.csv",
    ]


def test_predict_refuses_an_ending_that_says_no_format(
    workshop: Workshop, fairlead: Any, tmp_path: Path
) -> None:
    workshop.consider(workshop.version(0.0))
    file, target = rows(workshop, tmp_path / "rows.csv"), tmp_path / "predicted.xlsx"
    status, out, err = fairlead("predict", MODEL, str(file), "--output", str(target))
    assert (status, out) == (2, "")
    assert err.startswith(f"--output {str(target)!r}: '.xlsx' is none of .csv, .json, ")
    assert not target.exists()
    asked = ("predict", MODEL, str(file), "--output", str(target), "--format", "csv")
    assert fairlead(*asked)[:2] == (0, "")
    assert target.read_text().startswith("prediction\n")


def test_predict_names_a_few_of_the_columns_that_are_missing(
    workshop: Workshop, fairlead: Any, tmp_path: Path
) -> None:
    workshop.consider(workshop.version(0.0))
    file = tmp_path / "rows.csv"
    file.write_text("x\n1\n")
    status, _, err = fairlead("predict", MODEL, str(file))
    assert status == 2
    assert err.rstrip().endswith("needs the columns 'a', 'b', 'c', 'd', which are not there")


def test_predict_of_more_rows_than_one_block_keeps_their_order(
    workshop: Workshop, fairlead: Any, tmp_path: Path
) -> None:
    workshop.consider(workshop.version(0.0))
    workshop.x = np.random.default_rng(2).normal(size=(20_200, 4))
    file = rows(workshop, tmp_path / "rows.csv", count=20_000)
    predicted = fairlead("predict", MODEL, str(file))[1].splitlines()[1:]
    assert singles(predicted) == expected(workshop, 1, count=20_000)


def test_predict_reads_stdin(
    workshop: Workshop, fairlead: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.consider(workshop.version(0.0))
    content = rows(workshop, tmp_path / "rows.csv").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    predicted = fairlead("predict", MODEL, "-")[1].splitlines()[1:]
    assert singles(predicted) == expected(workshop, 1)


def test_predict_of_a_file_without_rows_gives_a_header(
    workshop: Workshop, fairlead: Any, tmp_path: Path
) -> None:
    workshop.consider(workshop.version(0.0))
    file = rows(workshop, tmp_path / "rows.csv", count=0)
    assert fairlead("predict", MODEL, str(file))[:2] == (0, "prediction\n")
    assert fairlead("predict", MODEL, str(file), "--json")[1] == "[\n]\n"


def test_predict_leaves_no_half_written_file(
    workshop: Workshop, fairlead: Any, tmp_path: Path
) -> None:
    workshop.consider(workshop.version(0.0))
    file = rows(workshop, tmp_path / "rows.csv")
    status, _, err = fairlead("predict", MODEL, str(file), "--output", str(tmp_path / "no" / "x"))
    assert status == 1
    assert "no/x" in err
    (tmp_path / "folder.csv").mkdir()
    before = sorted(tmp_path.iterdir())
    assert fairlead("predict", MODEL, str(file), "--output", str(tmp_path / "folder.csv"))[0] == 2
    assert sorted(tmp_path.iterdir()) == before


def test_predict_of_a_file_of_many_parts_gives_what_it_gives_in_one(
    workshop: Workshop, fairlead: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.consider(workshop.version(0.0))
    file = rows(workshop, tmp_path / "rows.csv", count=100)
    whole = fairlead("predict", MODEL, str(file))
    monkeypatch.setattr("fairlead.cli.row_files.PART", 1000)
    assert fairlead("predict", MODEL, str(file)) == whole
    assert len(whole[1].splitlines()) == 101


def test_predict_of_a_file_that_is_not_there_is_refused(workshop: Workshop, fairlead: Any) -> None:
    workshop.consider(workshop.version(0.0))
    status, out, err = fairlead("predict", MODEL, "none.csv")
    assert (status, out) == (2, "")
    assert err == "none.csv: cannot be read: No such file or directory\n"


def test_models_says_that_mlflow_is_away_and_shows_the_models_all_the_same(
    workshop: Workshop, fairlead: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.consider(workshop.version(0.0))
    monkeypatch.setenv("FAIRLEAD_MLFLOW_URI", "http://me:secret@127.0.0.1:9")
    status, out, err = fairlead("models", "--json")
    assert (status, json.loads(out)[0]["mlflow"]) == (0, "2 waiting")
    assert len(err.splitlines()) == 1
    assert "is behind" in err
    assert "secret" not in err
