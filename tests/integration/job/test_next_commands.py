"""The commands that a run ends with are about what it did."""

from __future__ import annotations

from tests.integration.job import specs
from tests.integration.job.conftest import Place


def test_the_report_that_a_run_names_is_of_its_own_study(place: Place) -> None:
    place.write("ridge.yaml", specs.RIDGE)
    older = place.json("run", "ridge.yaml")["study"]
    newer = place.run("run", "ridge.yaml", "--set", "search.seed=7")
    assert f"next: {place.program} report ridge\n" in newer.stderr
    again = place.run("run", "ridge.yaml")
    assert f"next: {place.program} report {older}\n" in again.stderr
    renamed = place.run("run", "ridge.yaml", "--set", "name=other")
    assert f"next: {place.program} report {older}\n" in renamed.stderr
    assert place.run("report", older).returncode == 0
