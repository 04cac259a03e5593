"""Promises of a run that asks for fewer trials than its study has: it gets the study of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fairlead.artifacts import Artifacts
from fairlead.ledger.store import open_ledger
from fairlead.settings import Settings
from fairlead.spec.load import load
from fairlead.study import plan as plans
from tests.integration.job.conftest import Place

if TYPE_CHECKING:
    from pathlib import Path

TPE = """
name: ridge
data: {source: diabetes, seed: 6}
search:
  method: tpe
  folds: 2
  trials: 6
  over:
    - family: sklearn.linear_model:Ridge
      params: {alpha: {low: 0.001, high: 1000.0, log: true}}
"""
GRID = TPE.replace("method: tpe", "method: grid").replace(
    "{low: 0.001, high: 1000.0, log: true}", "[500, 100, 20, 4, 0.8, 0.1]"
)
FEWER = ("--set", "search.trials=3")


def told(outcome: dict[str, Any]) -> dict[str, Any]:
    """What a run is about, without who ran it and for how long."""
    trials = [{**trial, "seconds": None} for trial in outcome["trials"]]
    return {**outcome, "trials": trials, "version": None, "verdict": None, "promoted": None}


def size(place: Place) -> tuple[int, str, int]:
    with open_ledger(place.home / "ledger.db") as ledger:
        [study] = ledger.studies.all()
        return study.size, study.state, ledger.studies.counts(study.id).done


@pytest.mark.parametrize(
    "spec", [pytest.param(TPE, id="tpe"), pytest.param(GRID, id="grid", marks=pytest.mark.long)]
)
def test_fewer_trials_than_a_finished_study_has_show_the_study_of_these(
    tmp_path: Path, spec: str
) -> None:
    places = [Place(folder=tmp_path / name) for name in ("one", "other")]
    for each in places:
        each.folder.mkdir()
        each.write("spec.yaml", spec)
    place, alone = places
    whole = place.json("run", "spec.yaml")
    few = place.json("run", "spec.yaml", *FEWER)
    expected = alone.json("run", "spec.yaml", *FEWER)
    assert told(few) == told(expected)
    assert len(few["trials"]) == 3
    assert few["best"]["number"] < 3
    assert whole["best"]["score"] < few["best"]["score"], "which says that they differ"
    assert few["version"] == 2
    assert size(place) == (6, "finished", 6)
    assert told(place.json("run", "spec.yaml")) == told(whole)
    assert place.json("reproduce", "ridge", "2")["equal"]
    shown = place.run("run", "spec.yaml", *FEWER)
    assert "has 6 trials: 3 are asked for, so these are its first" in " ".join(shown.stderr.split())
    assert "nothing to search" in shown.stderr
    assert "of 3: sklearn.linear_model:Ridge" in shown.stdout
    assert place.json("plan", "spec.yaml", "--no-timing", *FEWER)["trials"] == 3


def test_fewer_trials_than_an_unfinished_study_is_to_have_end_with_these(place: Place) -> None:
    path = place.write("spec.yaml", TPE)
    loaded, settings = load(path), Settings(home=place.home)
    plan = plans.make(loaded.spec, base=loaded.base, settings=settings)
    with open_ledger(settings.ledger_url) as ledger:
        plans.keep(plan, ledger, Artifacts(settings.artifacts_url), fresh=False)
    few = place.json("run", "spec.yaml", *FEWER)
    assert [trial["number"] for trial in few["trials"]] == [0, 1, 2]
    assert size(place) == (6, "searching", 3)
    whole = place.json("run", "spec.yaml")
    assert size(place) == (6, "finished", 6)
    assert [{**trial, "seconds": None} for trial in whole["trials"][:3]] == told(few)["trials"]
