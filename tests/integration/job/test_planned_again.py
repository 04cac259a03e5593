"""A plan says how far a study of this spec is, and leaves the ledger as it is."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.integration.job import specs
from tests.integration.job.conftest import Place


def planned(place: Place, *sets: str) -> tuple[str | None, str | None]:
    """What a plan says of the study, and its estimate."""
    done = place.run("plan", "ridge.yaml", *(word for each in sets for word in ("--set", each)))
    assert done.returncode == 0, done.stderr
    fields = done.stdout.partition("\n\n")[0].splitlines()
    said = dict(line.split(maxsplit=1) for line in fields)
    return said.get("study"), said.get("estimate")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_plan_says_that_its_study_is_new_partly_done_or_finished(place: Place) -> None:
    place.write("ridge.yaml", specs.RIDGE)
    said, estimate = planned(place)
    assert said is None
    assert estimate is not None
    assert not place.home.exists()
    study = place.json("run", "ridge.yaml")["study"]
    ledger = digest(place.home / "ledger.db")
    assert planned(place) == (f"{study} is finished: 3 trials; a run shows it", None)
    assert planned(place, "search.trials=2")[0] == f"{study} is finished: 2 trials; a run shows it"
    said, estimate = planned(place, "search.trials=8")
    assert said == f"{study} goes on: 3 of 8 trials are done"
    assert estimate is not None
    assert planned(place, "search.seed=5")[0] is None
    assert digest(place.home / "ledger.db") == ledger


def test_a_plan_beside_a_ledger_that_cannot_be_read_says_so_and_is_made(place: Place) -> None:
    place.write("ridge.yaml", specs.RIDGE)
    place.home.mkdir()
    (place.home / "ledger.db").write_text("this is no database, whatever its name says")
    done = place.run("plan", "ridge.yaml", "--no-timing")
    assert done.returncode == 0
    assert "whether this study was run before is not known: ledger" in done.stderr
