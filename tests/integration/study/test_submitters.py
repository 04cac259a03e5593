"""32 submit at once, some of them the same spec: each run is there once, with all of its tasks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.postgres import database

from fairlead.ledger.store import open_ledger
from fairlead.records import Counts

SPEC = """
name: submitted-{number}
data: {{source: diabetes}}
search:
  method: random
  folds: 2
  trials: 6
  seed: {number}
  over: [{{family: "sklearn.linear_model:Ridge", params: {{alpha: {{low: 0.1, high: 9.0}}}}}}]
promote: {{when: never}}
"""
DIFFERENT, EQUAL = 24, 8


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        (tmp_path / "home").mkdir()
        yield f"sqlite:///{tmp_path}/home/ledger.db"
        return
    with database(request.getfixturevalue("postgres")) as url:
        yield url


def test_each_run_of_32_submitters_is_there_once(tmp_path: Path, ledger_url: str) -> None:
    specs = []
    for number in range(DIFFERENT + 1):
        specs.append(tmp_path / f"{number}.yaml")
        specs[-1].write_text(SPEC.format(number=number))
    specs += [specs[-1]] * (EQUAL - 1)
    program = [sys.executable, "-m", "tests.support.submitting", str(tmp_path), ledger_url]
    done = subprocess.run(
        [*program, *map(str, specs)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    ids = done.stdout.split()
    assert len(ids) == DIFFERENT + EQUAL
    assert len({*ids[:DIFFERENT]}) == DIFFERENT
    assert {*ids[DIFFERENT:]} == {ids[-1]}
    with open_ledger(ledger_url) as ledger:
        assert {run.id for run in ledger.runs.all()} == {*ids}
        assert len(ledger.runs.all()) == len(ledger.studies.all()) == DIFFERENT + 1
        for study in ledger.studies.all():
            assert ledger.studies.counts(study.id) == Counts(ready=6)
            assert [event.kind for event in ledger.studies.events(study.id)] == ["opened"]
