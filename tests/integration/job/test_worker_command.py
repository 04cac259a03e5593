"""`fairlead worker` by hand is the same program that `run` starts."""

from __future__ import annotations

import signal

from tests.integration.job import families, specs
from tests.integration.job.conftest import Place
from tests.support.waiting import wait_until


def test_a_worker_by_hand_does_what_a_dead_run_left(place: Place) -> None:
    place.environ["FAIRLEAD_LEASE"] = "2"
    place.write("slow.py", families.SLOW)
    place.write("slow.yaml", specs.slow(trials=6))
    run = place.start("run", "slow.yaml", "--workers", "1")
    wait_until(lambda: place.counts()["done"] >= 1)
    run.kill()
    run.wait()
    worker = place.start("worker", "--study", "slow")
    wait_until(lambda: place.counts()["done"] == 6)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert len(place.json("trials", "slow")) == 6


def test_a_worker_of_a_new_home_waits_for_what_is_submitted(place: Place) -> None:
    place.write("ridge.yaml", specs.RIDGE)
    worker = place.start("worker")
    wait_until(place.home.exists)
    assert place.run("submit", "ridge.yaml").returncode == 0
    wait_until(lambda: place.counts()["done"] == 3)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0


def test_a_worker_without_tasks_ends_after_its_time_and_not_before(place: Place) -> None:
    place.write("ridge.yaml", specs.RIDGE)
    assert place.run("submit", "ridge.yaml").returncode == 0
    worker = place.start("worker", "--idle-seconds", "1")
    assert worker.wait(120) == 0
    assert place.counts()["done"] == 3
    assert place.run("worker", "--idle-seconds", "0").returncode == 0  # there is nothing to do
    refused = place.run("worker", "--idle-seconds", "1", "--slots", "2")
    assert "--slots cannot be combined with --idle-seconds" in refused.stderr


def test_a_notebook_gets_the_same_outcome_as_the_command_line(place: Place) -> None:
    import fairlead

    spec = place.write("ridge.yaml", specs.RIDGE)
    printed = place.json("run", "ridge.yaml")
    outcome = fairlead.run(spec, home=place.home, quiet=True)
    assert outcome.to_json() == printed
    assert list(outcome.trials.to_frame()["score"]) == [t["score"] for t in printed["trials"]]


def test_raising_trials_extends_the_study_and_keeps_what_is_there(place: Place) -> None:
    place.write("ridge.yaml", specs.RIDGE)
    first = place.json("run", "ridge.yaml")
    second = place.json("run", "ridge.yaml", "--set", "search.trials=5")
    assert second["study"] == first["study"]
    assert second["trials"][:3] == first["trials"]
    assert len(second["trials"]) == 5


def test_fresh_searches_again_and_finds_the_same(place: Place) -> None:
    place.write("ridge.yaml", specs.RIDGE)
    first = place.json("run", "ridge.yaml")
    again = place.json("run", "ridge.yaml", "--fresh")
    assert again["study"] == f"{first['study']}-2"
    keys = ("number", "params", "scores", "state")
    told = [[[trial[key] for key in keys] for trial in run["trials"]] for run in (first, again)]
    assert told[0] == told[1]


def test_until_ends_the_study_at_the_first_trial_that_is_good_enough(place: Place) -> None:
    place.write("ridge.yaml", specs.RIDGE)
    whole = place.json("run", "ridge.yaml", "--set", "search.trials=8")
    enough = whole["trials"][3]["score"]
    expected = next(t["number"] for t in whole["trials"] if t["score"] <= enough)
    cut = place.json(
        "run", "ridge.yaml", "--set", "search.trials=8", "--set", f"search.until={enough!r}"
    )
    assert len(cut["trials"]) == expected + 1
    assert [t["scores"] for t in cut["trials"]] == [
        t["scores"] for t in whole["trials"][: expected + 1]
    ]


def test_time_cuts_the_sequence_short_and_what_is_done_stays(place: Place) -> None:
    place.write("slow.py", families.SLOW)
    place.write("slow.yaml", specs.slow(trials=1000, seconds=0.05))
    outcome = place.json("run", "slow.yaml", "--workers", "2", "--set", "search.time=4s")
    assert 1 <= len(outcome["trials"]) < 1000
    assert {trial["state"] for trial in outcome["trials"]} == {"done"}
    assert place.counts()["running"] == 0


def test_pruned_trials_are_the_same_whatever_the_number_of_workers(place: Place) -> None:
    spec = specs.RIDGE.replace("folds: 2", "folds: 4\n  prune: median\n  lag: 2")
    place.write("ridge.yaml", spec.replace("trials: 3", "trials: 24"))
    one = place.json("run", "ridge.yaml", "--workers", "1")
    three = place.json("run", "ridge.yaml", "--workers", "3", "--fresh")
    keys = ("number", "params", "scores", "state")
    assert [[t[k] for k in keys] for t in one["trials"]] == [
        [t[k] for k in keys] for t in three["trials"]
    ]
    assert "pruned" in {trial["state"] for trial in one["trials"]}


def test_tpe_asks_the_same_trials_whatever_the_number_of_workers(place: Place) -> None:
    spec = specs.RIDGE.replace("method: random", "method: tpe\n  lag: 3")
    place.write("ridge.yaml", spec.replace("trials: 3", "trials: 20"))
    one = place.json("run", "ridge.yaml", "--workers", "1")
    three = place.json("run", "ridge.yaml", "--workers", "3", "--fresh")
    assert [t["params"] for t in one["trials"]] == [t["params"] for t in three["trials"]]
    assert [t["scores"] for t in one["trials"]] == [t["scores"] for t in three["trials"]]
