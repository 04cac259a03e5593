"""What a person who writes a wrong spec sees: one line, its place, exit 2, nothing written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SPEC = """\
name: boston-prices
data:
  source: boston
  target: MEDV
search:
  method: grid
  folds: 3
  metric: mse
  over:
    - family: random_forest
      params:
        n_estimators: [2]
        max_depth: [2, 3]
"""
BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 30))
ROWS = "x,y\n" + "".join(f"{i},{i * i}\n" for i in range(40))


def contents(folder: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


def refusal(folder: Path, *args: str) -> str:
    """The one line that the command says; it writes nothing."""
    before = contents(folder)
    done = subprocess.run(
        [sys.executable, "-m", "fairlead", *args],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert contents(folder) == before
    lines = [line for line in done.stderr.splitlines() if not line.endswith(" ...")]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("folds: 3", "folds: three", "7:10: search.folds must be a whole number, not 'three'"),
        ("folds: 3", "fold: 3", "7:3: search.fold is not known; did you mean 'folds'?"),
        ("[2, 3]", "[]", "13:20: search.over[0].params.max_depth must not be empty"),
        (
            "[2, 3]",
            "{low: 3, high: 1, step: 1}",
            "13:35: search.over[0].params.max_depth.high must",
        ),
        (SPEC, BOMB, "14:6: more than 20,000 values (aliases expanded)"),
        (SPEC, "a: [1\n", "2:1: not YAML: while parsing a flow sequence"),
    ],
    ids=["type", "key", "empty grid", "range", "bomb", "not YAML"],
)
def test_a_spec_that_is_wrong_in_itself(
    tmp_path: Path, command: str, old: str, new: str, said: str
) -> None:
    (tmp_path / "boston.yaml").write_text(SPEC.replace(old, new))
    assert refusal(tmp_path, command, "boston.yaml").startswith(f"boston.yaml:{said}")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("random_forest", "random_forrest", "10:15: search.over[0].family"),
        ("n_estimators: [2]", "n_estimator: [2]", "12:22: search.over[0].params.n_estimator"),
        ("target: MEDV", "target: MEDX", "4:11: data.target"),
        ("metric: mse", "metric: accuracy", "8:11: search.metric"),
        ("metric: mse", "metric: msee", "8:11: search.metric"),
        ("source: boston", "source: bostn", "3:11: data.source"),
    ],
    ids=["family", "parameter", "target", "unfit metric", "unknown metric", "source"],
)
def test_a_spec_that_does_not_fit_its_data_or_families(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    (tmp_path / "boston.yaml").write_text(SPEC.replace(old, new))
    assert refusal(tmp_path, "run", "boston.yaml").startswith(f"boston.yaml:{said}")


def test_more_folds_than_rows(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(ROWS)
    text = SPEC.replace("source: boston", "source: rows.csv").replace("MEDV", "y")
    (tmp_path / "rows.yaml").write_text(text.replace("folds: 3", "folds: 90"))
    assert refusal(tmp_path, "run", "rows.yaml").startswith("rows.yaml:7:10: search.folds")


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_file_that_is_not_there(tmp_path: Path, command: str) -> None:
    said = refusal(tmp_path, command, "boston.yaml")
    assert said == "boston.yaml: there is no such file"


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    assert refusal(tmp_path, "run", ".").startswith(".: is a folder")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    said = refusal(tmp_path, "run", "loop.yaml")
    assert said.startswith("loop.yaml: cannot be read: ")


def test_a_wrong_override_is_said_as_it_was_typed(tmp_path: Path) -> None:
    (tmp_path / "boston.yaml").write_text(SPEC)
    said = refusal(tmp_path, "run", "boston.yaml", "--set", "search.trails=20")
    assert said == ("--set: search.trails is not known; did you mean 'trials'?")


def test_a_refused_spec_leaves_a_ledger_that_is_there_as_it_is(tmp_path: Path) -> None:
    (tmp_path / ".fairlead").mkdir()
    (tmp_path / ".fairlead" / "ledger.db").touch()  # empty: whoever opens it makes tables
    (tmp_path / "spec.yaml").write_text(SPEC.replace("max_depth: [2, 3]", "max_dept: [2, 3]"))
    line = refusal(tmp_path, "run", "spec.yaml")
    assert "there is no parameter 'max_dept'; did you mean 'max_depth'?" in line
