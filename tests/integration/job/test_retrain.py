"""A champion is trained again on other data, with its code as it was."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from fairlead.artifacts import Artifacts
from fairlead.data import store
from fairlead.ledger.store import open_ledger
from fairlead.settings import Settings
from fairlead.spec.document import parse_canonical

SPEC = """
name: line
data: {source: rows.csv, target: y}
search:
  method: grid
  folds: 2
  over: [{family: "./code/own.py:Own", params: {alpha: [0.1, 1.0]}}]
promote: {when: always}
"""
OWN = "from sklearn.linear_model import Ridge\n\n\nclass Own(Ridge):\n    pass\n"


def rows(count: int) -> str:
    draw = random.Random(count)
    lines = [f"{x},{2 * x + draw.gauss(0, 0.1)}" for x in (draw.random() for _ in range(count))]
    return "x,y\n" + "\n".join(lines) + "\n"


def fairlead(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fairlead", "--home", str(folder / "home"), *words],
        cwd=folder,
        env=os.environ | {"FAIRLEAD_MLFLOW_URI": "none"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "own.py").write_text(OWN)
    (tmp_path / "rows.csv").write_text(rows(200))
    (tmp_path / "line.yaml").write_text(SPEC)
    done = fairlead(tmp_path, "run", "line.yaml")
    assert done.returncode == 0, done.stderr
    (tmp_path / "code" / "own.py").unlink()
    (tmp_path / "line.yaml").unlink()
    return tmp_path


@pytest.mark.parametrize("named", [True, False], ids=["other file", "same file"])
def test_the_champions_spec_is_submitted_on_the_data_as_it_is(folder: Path, *, named: bool) -> None:
    (folder / ("new.csv" if named else "rows.csv")).write_text(rows(300))
    done = fairlead(folder, "retrain", "line", *(["--data", "new.csv"] if named else []))
    assert done.returncode == 0, done.stderr
    settings = Settings(home=folder / "home")
    with open_ledger(settings.ledger_url) as ledger:
        run = ledger.runs.get(done.stdout.strip())
        assert run.state == "running"
        study, first = ledger.studies.all()
        assert run.study == study.id != first.id
        assert study.sources == first.sources
        spec, before = parse_canonical(study.spec), parse_canonical(first.spec)
        assert spec.search == before.search
        assert spec.promote == before.promote
        table = store.load(study.table, Artifacts(settings.artifacts_url))
        assert len(table.features) == 300
        assert ledger.studies.counts(study.id).ready == 2


def test_it_is_the_study_that_the_spec_itself_would_be(folder: Path) -> None:
    (folder / "rows.csv").write_text(rows(300))
    done = fairlead(folder, "retrain", "line")
    assert done.returncode == 0, done.stderr
    (folder / "code" / "own.py").write_text(OWN)
    (folder / "line.yaml").write_text(SPEC)
    same = fairlead(folder, "submit", "line.yaml")
    assert same.stdout == done.stdout


def test_a_digest_is_kept_as_long_as_it_is_that_of_the_data(folder: Path) -> None:
    digest = f"sha256:{hashlib.sha256((folder / 'rows.csv').read_bytes()).hexdigest()}"
    (folder / "code" / "own.py").write_text(OWN)
    source = f"{{source: rows.csv, digest: '{digest}', target: y}}"
    (folder / "line.yaml").write_text(SPEC.replace("{source: rows.csv, target: y}", source))
    done = fairlead(folder, "run", "line.yaml")
    assert done.returncode == 0, done.stderr
    fairlead(folder, "promote", "line", "2", "--why", "a test")
    settings = Settings(home=folder / "home")
    with open_ledger(settings.ledger_url) as ledger:
        champion = ledger.versions.champion("line")
        assert champion is not None
        own = ledger.studies.get(champion.study)
    same = fairlead(folder, "retrain", "line")
    assert same.stdout.startswith(f"{own.id}."), same.stderr
    (folder / "rows.csv").write_text(rows(300))
    other = fairlead(folder, "retrain", "line")
    with open_ledger(settings.ledger_url) as ledger:
        study = ledger.studies.get(ledger.runs.get(other.stdout.strip()).study)
        assert study.id != own.id
        assert parse_canonical(study.spec).data.digest is None


def test_data_that_is_gone_is_said(folder: Path) -> None:
    (folder / "rows.csv").unlink()
    done = fairlead(folder, "retrain", "line")
    assert done.returncode == 2
    assert "data.source: 'rows.csv' is not there; give --data" in done.stderr


def test_a_model_that_is_not_there_is_said(folder: Path) -> None:
    done = fairlead(folder, "retrain", "lines")
    assert done.returncode == 2
    assert "no model is called 'lines'" in done.stderr
