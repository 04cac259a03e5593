"""A run that is ended or replaced from elsewhere while a process carries its search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairlead.ledger.store import open_ledger
from fairlead.records import Counts
from tests.integration.job.conftest import Place
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from fairlead.ledger.interface import Ledger

LONG = """
name: long
data: {source: diabetes, seed: 0}
search:
  method: random
  folds: 2
  trials: 20000
  over:
    - family: sklearn.linear_model:Ridge
      params: {alpha: {low: 0.01, high: 10.0, log: true}}
"""
SHORT = (
    LONG.replace("name: long", "name: short").replace("seed: 0", "seed: 1").replace("20000", "3")
)


def open_counts(ledger: Ledger, study: str) -> Counts:
    counts = ledger.studies.counts(study)
    return Counts(ready=counts.ready, running=counts.running)


def test_a_run_that_is_cancelled_from_another_terminal_ends(place: Place) -> None:
    place.write("long.yaml", LONG)
    process = place.start("run", "long.yaml", "--workers", "1")
    wait_until(lambda: place.counts()["done"] > 0)
    cancelled = place.run("cancel", "long", "--why", "seen enough")
    assert cancelled.returncode == 0, cancelled.stderr
    assert process.wait(30) == 1
    assert "was cancelled: seen enough" in (place.folder / "output.log").read_text()
    with open_ledger(place.home / "ledger.db") as ledger:
        [study] = ledger.studies.all()
        assert open_counts(ledger, study.id) == Counts()
        kept = ledger.studies.counts(study.id).done
        again = place.start("run", "long.yaml", "--workers", "1")
        wait_until(lambda: ledger.studies.counts(study.id).done > kept)
        again.kill()


def test_a_controller_lets_go_of_what_was_cancelled_or_replaced(place: Place) -> None:
    for name, spec in (("long.yaml", LONG), ("short.yaml", SHORT)):
        place.write(name, spec)
    run = place.run("submit", "long.yaml").stdout.strip()
    place.run("pause", run)
    place.start("controller", "--runs", "1", "--workers", "1")
    with open_ledger(place.home / "ledger.db") as ledger:
        study = ledger.runs.get(run).study
        wait_until(lambda: ledger.runs.get(run).holder)
        fewer = place.run("adjust", run, "--trials", "300").stdout.strip()
        wait_until(lambda: ledger.runs.get(fewer).holder)
        assert open_counts(ledger, study) == Counts(ready=300)
        assert place.run("cancel", fewer).returncode == 0
        place.run("submit", "short.yaml")
        assert len(place.json("watch", "short")["trials"]) == 3
        assert open_counts(ledger, study) == Counts()
