"""Two specs of other names and the same search have one study, and a run each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.job.specs import RIDGE

if TYPE_CHECKING:
    from tests.integration.job.conftest import Place


def test_a_run_is_found_by_the_name_in_its_own_spec(place: Place) -> None:
    for name in ("one", "two"):
        place.write(f"{name}.yaml", RIDGE.replace("name: ridge", f"name: {name}"))
    one, two = (place.run("submit", f"{name}.yaml").stdout.strip() for name in ("one", "two"))
    assert one.partition(".")[0] == two.partition(".")[0]
    listed = {row["run"]["id"]: row["study"] for row in place.json("runs")}
    assert listed == {one: "one", two: "two"}
    paused = place.run("pause", "one")
    assert paused.stdout.strip() == f"{one} paused"
    assert f"run {two} has the same tasks" in " ".join(paused.stderr.split())
    study = one.partition(".")[0]
    either = place.run("cancel", study)
    assert either.returncode == 2
    assert two in either.stderr
    assert place.run("cancel", "one").stdout.strip() == f"{one} cancelled"
    states = {row["run"]["id"]: row["run"]["state"] for row in place.json("runs")}
    assert states == {one: "cancelled", two: "running"}
    assert place.run("resume", study).stdout.strip() == f"{two} resumed"
    place.start("controller", "--workers", "1")
    outcome = place.json("watch", "two")
    assert (outcome["study"], outcome["version"]) == (study, 1)
    assert place.run("logs", "three").returncode == 2
