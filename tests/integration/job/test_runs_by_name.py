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


def test_a_run_counts_the_trials_that_it_wants_and_is_listed_by_name_and_state(
    place: Place,
) -> None:
    place.write("ridge.yaml", RIDGE)
    place.write("other.yaml", RIDGE.replace("name: ridge", "name: other"))
    place.json("run", "ridge.yaml", "--workers", "1")
    place.json("run", "ridge.yaml", "--workers", "1", "--set", "search.trials=5")
    waiting = place.run("submit", "other.yaml", "--set", "search.trials=4", "--fresh")
    rows = [(row["ended"], row["size"], row["run"]["state"]) for row in place.json("runs")]
    assert rows == [(0, 4, "running"), (5, 5, "done"), (3, 3, "done")]
    place.run("pause", waiting.stdout.strip())
    for options, names in (
        (["--state", "paused"], ["other"]),
        (["--state", "running"], []),
        (["--state", "done", "--state", "paused"], ["other", "ridge", "ridge"]),
        (["--name", "ridge"], ["ridge", "ridge"]),
        (["--name", "ridge", "--state", "paused"], []),
    ):
        assert [row["study"] for row in place.json("runs", *options)] == names, options
    assert "there is no such run" in place.run("runs", "--state", "failed").stderr


def test_the_log_of_a_run_names_trials_and_their_scores(place: Place) -> None:
    place.write("ridge.yaml", RIDGE)
    outcome = place.json("run", "ridge.yaml", "--workers", "1")
    lines = place.run("logs", "ridge").stdout.splitlines()
    for trial in outcome["trials"]:
        said = f"(trial {trial['number']}) attempt 1 committed by "
        (line,) = (line for line in lines if said in line)
        assert line.endswith(f": mse {trial['score']:.6g}")
    assert any(
        f"(refit of trial {outcome['best']['number']}) attempt 1 committed" in one for one in lines
    )
    assert place.run("logs", "ridge", "--tail", "2").stdout.splitlines() == lines[-2:]
    assert place.run("logs", "ridge", "--tail", "0").stdout == ""
    found = place.json("logs", "ridge", "--tail", "1000")
    assert len(found) == len(lines)
    committed = [one for one in found if one["kind"] == "committed"]
    scores = {one["trials"][0]: one["scores"] for one in committed if one["task_kind"] == "trials"}
    assert scores == {trial["number"]: [trial["score"]] for trial in outcome["trials"]}
