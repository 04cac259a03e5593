"""Promises of a run that finds the model again that it found before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fairlead.ledger.store import open_ledger
from tests.integration.job.specs import RIDGE

if TYPE_CHECKING:
    from tests.integration.job.conftest import Place

MORE = RIDGE.replace("trials: 3", "trials: 6")
BETTER = "promote: {when: confident}"
NEVER = "promote: {when: never}"


@pytest.mark.parametrize("promote", [BETTER, NEVER])
def test_a_search_that_goes_on_or_starts_afresh_to_the_same_model_adds_no_version(
    place: Place, promote: str
) -> None:
    place.write("spec.yaml", RIDGE + promote)
    assert place.run("run", "spec.yaml").returncode == 0
    first = _records(place)
    place.write("spec.yaml", MORE + promote)
    longer = place.run("run", "spec.yaml")
    fresh = place.run("run", "spec.yaml", "--fresh")
    for done in (longer, fresh):
        assert done.returncode == 0, done.stderr
        assert "the best model is still v1: no new version" in done.stderr
    assert _records(place) == first
    again = place.run("run", "spec.yaml")
    assert again.returncode == 0
    assert _records(place) == first


def test_a_fresh_study_that_ends_at_the_same_model_names_its_version_everywhere(
    place: Place,
) -> None:
    place.write("spec.yaml", RIDGE)
    first = place.json("run", "spec.yaml")
    fresh = place.json("run", "spec.yaml", "--fresh")
    assert fresh["study"] != first["study"]
    assert (fresh["version"], fresh["promoted"]) == (1, True)
    assert fresh["verdict"] == first["verdict"]
    assert place.run("report", fresh["study"], "--output", "report.html").returncode == 0
    page = (place.folder / "report.html").read_text()
    assert "It is version 1 of the model ridge, and its champion." in page
    assert first["verdict"].partition(": ")[2][:40] in page


def test_a_version_whose_search_went_on_is_still_reproduced(place: Place) -> None:
    for spec in (RIDGE, MORE):
        place.write("spec.yaml", spec)
        assert place.run("run", "spec.yaml").returncode == 0
    assert place.json("reproduce", "ridge", "1")["equal"]


def _records(place: Place) -> tuple[object, ...]:
    """Versions, verdicts and promotions, with their times."""
    with open_ledger(place.home / "ledger.db") as ledger:
        versions = ledger.versions
        return versions.all(), versions.judgements("ridge"), versions.history("ridge")


def test_a_spec_of_another_name_has_a_model_of_its_own_from_the_same_search(place: Place) -> None:
    place.write("spec.yaml", RIDGE)
    first = place.json("run", "spec.yaml")
    place.write("other.yaml", RIDGE.replace("name: ridge", "name: other"))
    second = place.json("run", "other.yaml")
    assert second["study"] == first["study"]
    assert (first["model"], second["model"]) == ("ridge", "other")
    again = place.run("run", "other.yaml")
    assert f"other v1 (study {first['study']})" in again.stdout
    assert "predict other ROWS.csv" in again.stderr
    assert "predict ridge" not in again.stderr
    deployed = place.run("run", "other.yaml", "--deploy")
    assert deployed.returncode == 0, deployed.stderr
    assert [row["name"] for row in place.json("route", "other")["revisions"]] == ["v1"]
    assert "there is no revision yet" in place.run("route", "ridge").stderr
