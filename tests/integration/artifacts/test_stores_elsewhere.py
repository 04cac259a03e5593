"""The ledger and the artefacts are where two URLs say, for every command and all its processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SPEC = """
name: sugar
data: {source: diabetes}
search:
  method: random
  folds: 2
  trials: 2
  over:
    - family: random_forest
      params: {n_estimators: [5, 10]}
"""
ROWS = "age,sex,bmi,bp,s1,s2,s3,s4,s5,s6\n59,2,32.1,101,157,93.2,38,4,4.9,87\n"


class Elsewhere:
    """A folder to work in, a ledger in another one, and a store that fsspec keeps in a third."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder / "here", folder / "store"
        self.ledger = folder / "there" / "l.db"
        self.folder.mkdir()
        self.environment = {
            "FAIRLEAD_MLFLOW_URI": "none",
            "FAIRLEAD_LEDGER": f"sqlite:///{self.ledger}",
            "FAIRLEAD_ARTIFACTS": f"local://{self.store}",
        }

    def command(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "fairlead", *args],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def done(self, *args: str) -> str:
        ended = self.command(*args)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    made = Elsewhere(tmp_path_factory.mktemp("elsewhere"))
    (made.folder / "sugar.yaml").write_text(SPEC)
    (made.folder / "rows.csv").write_text(ROWS)
    made.done("run", "sugar.yaml", "--workers", "1", "--deploy")
    return made


def test_a_run_keeps_everything_in_the_two_stores(elsewhere: Elsewhere) -> None:
    home = elsewhere.folder / ".fairlead"
    assert elsewhere.ledger.is_file()
    assert len(list(elsewhere.store.glob("??/*"))) > 5
    assert not (home / "ledger.db").exists()
    assert not (home / "artifacts").exists()


def test_a_model_predicts_from_the_two_stores(elsewhere: Elsewhere) -> None:
    assert len(elsewhere.done("predict", "sugar", "rows.csv").splitlines()) == 2


def test_what_a_run_deployed_answered_from_the_two_stores(elsewhere: Elsewhere) -> None:
    assert "v1" in elsewhere.done("route", "sugar")


def test_a_store_that_is_named_on_the_command_line_goes_before_the_environment(
    elsewhere: Elsewhere,
) -> None:
    ended = elsewhere.command("--ledger", str(elsewhere.folder / "none.db"), "models")
    assert ended.returncode == 2
    assert "none.db" in ended.stderr


@pytest.mark.parametrize(("option", "kind"), [("--ledger", "ledger"), ("--artifacts", "artefact")])
def test_a_scheme_that_is_not_known_is_refused_in_one_line(
    elsewhere: Elsewhere, option: str, kind: str
) -> None:
    ended = elsewhere.command(option, "carrier-pigeon://loft", "models")
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert kind in ended.stderr
    assert "'carrier-pigeon://" in ended.stderr  # what follows may hold a password
