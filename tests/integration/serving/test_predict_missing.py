"""`fairlead predict` of rows that miss a number."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

from fairlead.cli.row_files import PART
from tests.integration.serving.rig import Trained


def _predict(trained: Trained, model: str, rows: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fairlead", "--home", str(trained.home), "predict"]
    return subprocess.run(
        [*command, model, str(rows)], capture_output=True, text=True, timeout=120, check=False
    )


def _write(path: Path, trained: Trained, model: str, *, count: int, missing: int) -> Path:
    """So many rows; the row of this number misses its first number."""
    names = trained.candidates[model].signature.numbers
    row = trained.numbers(model)[0]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for number in range(1, count + 1):
            writer.writerow(["", *row[1:]] if number == missing else row)
    return path


def test_a_model_that_was_trained_without_missing_numbers_refuses_them(
    trained: Trained, tmp_path: Path
) -> None:
    file = _write(tmp_path / "rows.csv", trained, "houses", count=5, missing=3)
    refused = _predict(trained, "houses", file)
    assert (refused.returncode, refused.stdout) == (2, "")
    (line,) = refused.stderr.splitlines()
    assert f"{file}: row 3, column 'CRIM' has no value, and the model was trained" in line
    assert "without missing numbers: give one, or train it with data.impute" in line


def test_rows_of_a_large_file_are_counted_from_its_beginning(
    trained: Trained, tmp_path: Path
) -> None:
    file = _write(tmp_path / "rows.csv", trained, "houses", count=180_000, missing=170_000)
    assert file.stat().st_size > PART
    refused = _predict(trained, "houses", file)
    assert refused.returncode == 2
    assert f"{file}: row 170000, column 'CRIM' has no value" in refused.stderr


def test_a_model_that_was_trained_with_missing_numbers_takes_them(
    trained: Trained, tmp_path: Path
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("size,weight,city\n,7.5,Bonn\n")
    answered = _predict(trained, "kinds", file)
    assert answered.returncode == 0, answered.stderr
    assert answered.stdout.splitlines()[1].startswith("heavy,")
