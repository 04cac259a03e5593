"""`fairlead report` on a real ledger and a real artefact store."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from tests.lacking import lacking

from fairlead import manifest
from fairlead.artifacts import Artifacts
from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from fairlead.records import (
    Candidate,
    Column,
    Judgement,
    NewTask,
    Promotion,
    Result,
    Signature,
    Study,
    Trial,
    Verdict,
    Version,
)
from fairlead.settings import Settings
from fairlead.spec.document import Spec, canonical

TRIALS = tuple(
    Trial(number=n, family="forest", params={"depth": (5, None)[n % 2], "leaf": n % 5})
    for n in range(24)
)
SPEC = Spec.model_validate(
    {
        "name": "prices",
        "data": {"source": "boston", "target": "MEDV"},
        "search": {
            "method": "random",
            "metric": "mse",
            "folds": 2,
            "over": [{"family": "forest", "params": {"depth": [5, None], "leaf": [0, 1, 2, 3, 4]}}],
        },
    }
)
VERDICT = Verdict(
    decision="promote",
    text="promoted: mean squared error 7.5 against 75.0 of the baseline",
    against="the baseline",
    metric="mse",
    rows=3,
    judged=1,
    difference=67.5,
    low=38.0,
    high=98.5,
    confidence=0.95,
)


@contextmanager
def opened(home: Path) -> Iterator[tuple[Ledger, Artifacts]]:
    settings = Settings(home=home)
    with open_ledger(settings.ledger_url) as ledger:
        yield ledger, Artifacts(settings.artifacts_url)


def search(ledger: Ledger, *, until: int = len(TRIALS)) -> Study:
    """A study whose first trials are done."""
    study = Study(
        id="0123456789abcdef",
        name=SPEC.name,
        spec=canonical(SPEC),
        table="a" * 64,
        size=len(TRIALS),
    )
    ledger.studies.open(study)
    ledger.tasks.add(study.id, [NewTask(kind="trials", trials=(trial,)) for trial in TRIALS])
    for number in range(until):
        claim = ledger.tasks.claim("worker", lease=60.0, study=study.id)
        assert claim is not None
        scores = (10.0 + number, 12.0 + number)
        result = Result(
            number=number, state="done", scores=scores, score=11.0 + number, seconds=0.5
        )
        ledger.tasks.commit(claim, [result])
    return study


def finish(ledger: Ledger, artifacts: Artifacts, study: Study) -> None:
    """Its best trial refitted, registered, judged and promoted."""
    ledger.studies.finish(study.id, of=len(TRIALS), size=len(TRIALS), best=0)
    content = manifest.dump(candidate(artifacts, study))
    version = ledger.versions.register(
        Version(
            model=study.name,
            number=0,
            study=study.id,
            trial=0,
            size=study.size,
            manifest=artifacts.put(content).digest,
        )
    )
    ledger.versions.judge(
        Judgement(
            model=study.name,
            version=version.number,
            champion=None,
            rows="f" * 64,
            verdict=VERDICT,
        )
    )
    ledger.versions.promote(
        Promotion(
            model=study.name,
            number=0,
            version=version.number,
            previous=None,
            kind="gate",
            why=VERDICT.text,
            verdict=VERDICT,
        )
    )


def candidate(artifacts: Artifacts, study: Study) -> Candidate:
    arrays = io.BytesIO()
    np.savez(arrays, rows=np.arange(3), true=np.array([1.0, 2, 3]), predicted=np.array([1.5, 2, 3]))
    environment = json.dumps({"python": "3.11.7", "packages": {"numpy": "2.4.6"}}).encode()
    return Candidate(
        study=study.id,
        trial=0,
        family="forest",
        params=TRIALS[0].params,
        seed=0,
        metric="mse",
        holdout_score=7.5,
        training_rows=404,
        holdout_rows=3,
        signature=Signature(columns=(Column(name="RM", kind="number"),), target="MEDV"),
        files={
            "holdout.npz": artifacts.put(arrays.getvalue()),
            "environment.json": artifacts.put(environment),
        },
        parity=None,
        unexportable="there is no converter for it",
    )


def report(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fairlead", "--home", str(home), "report", *args],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    with opened(home) as (ledger, artifacts):
        finish(ledger, artifacts, search(ledger))
    return home


def test_the_report_is_written_to_the_home_and_its_path_printed(home: Path) -> None:
    done = report(home, "prices")
    assert done.returncode == 0, done.stderr
    path = home / "reports" / "prices-01234567.html"
    assert done.stdout == f"{path}\n"
    assert done.stderr.startswith("study 0123456789abcdef (prices): 24 trials, finished 20")
    page = path.read_text()
    assert "Refitted on 404 training rows, its mse on 3 holdout rows is 7.5." in page
    assert "It is version 1 of the model prices, and its champion." in page
    assert "<b>Promoted</b>: mean squared error 7.5 against 75.0" in page
    assert "there is no converter for it" in page
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["../../../PWNED", "{folder}/own", "\x1b]0;owned\x07\x1b[2Jred"])
def test_a_study_whatever_its_name_has_its_report_in_the_home(
    home: Path, tmp_path: Path, name: str
) -> None:
    with closing(sqlite3.connect(home / "ledger.db")) as database, database:
        forged = name.format(folder=tmp_path)
        database.execute("update studies set name = ?", [forged])
    before = set(tmp_path.rglob("*.html"))
    done = report(home, "0123")
    assert done.returncode == 0, done.stderr
    (written,) = set(tmp_path.rglob("*.html")) - before
    assert written.parent == home / "reports"
    assert done.stdout == f"{written}\n"
    assert "\x1b" not in done.stdout + done.stderr


def test_a_path_is_printed_as_text(home: Path, tmp_path: Path) -> None:
    done = report(home, "prices", "--output", str(tmp_path / "\x1b[2J.html"))
    assert done.stdout == f"{tmp_path}/\\x1b[2J.html\n"


def test_a_file_of_ones_own_choice_is_written_and_written_again(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "report.html"
    for _ in range(2):
        done = report(home, "0123", "--output", str(path))
        assert (done.returncode, done.stdout) == (0, f"{path}\n"), done.stderr
    assert path.stat().st_size > 1_000_000
    assert not (home / "reports").exists()


def test_a_study_that_goes_on_has_a_report(tmp_path: Path) -> None:
    with opened(tmp_path) as (ledger, _):
        search(ledger, until=5)
    done = report(tmp_path, "prices")
    assert done.returncode == 0, done.stderr
    page = Path(done.stdout.strip()).read_text()
    assert "5 of 24 trials so far" in page
    assert done.stderr.startswith("study 0123456789abcdef (prices): 24 trials, not finished\n")
    assert "The best trial was not refitted yet" in page


def test_a_study_that_is_not_there_is_refused_and_nothing_written(home: Path) -> None:
    done = report(home, "prizes")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "prizes" in done.stderr
    assert not (home / "reports").exists()


def test_a_place_that_cannot_be_written_fails_in_one_line(home: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = report(home, "prices", "--output", str(tmp_path / "file" / "report.html"))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "writing the report to" in done.stderr


def test_a_browser_draws_every_chart_and_reports_no_error(home: Path, tmp_path: Path) -> None:
    if not shutil.which("chromium"):
        lacking("the browser chromium")
    path = report(home, "prices").stdout.strip()
    browser = subprocess.run(
        [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000",
            "--enable-logging=stderr", "--dump-dom", f"file://{path}",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )  # fmt: skip
    charts = browser.stdout.count('class="chart js-plotly-plot"')
    assert charts == Path(path).read_text().count("data-chart=") > 5
    assert "CONSOLE" not in browser.stderr
