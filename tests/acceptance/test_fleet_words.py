"""What the commands of a fleet say where a run does not go on, and what they do not."""

from __future__ import annotations

import signal
import subprocess

from tests.acceptance.conftest import Place
from tests.support.waiting import wait_until


def test_a_run_that_nobody_carries_says_so_and_goes_on_when_the_watching_ends(
    place: Place,
) -> None:
    run = place.done("submit", "ridge.yaml", "--set", "search.over[0].params.alpha=[0.9]").strip()
    said = place.folder / "watch.err"
    with said.open("wb") as errors:
        watch = place.start("watch", "ridge", stdout=subprocess.DEVNULL, stderr=errors)
    wait_until(lambda: "no worker is alive: start `fairlead" in said.read_text())
    assert "nobody carries this run: start `fairlead" in said.read_text()
    assert "waiting for workers" in said.read_text()
    watch.send_signal(signal.SIGINT)
    assert watch.wait(60) == 130
    assert said.read_text().splitlines()[-1] == f"not watching any more: run {run} goes on"

    listed = place.run("runs")
    assert run in listed.stdout
    assert f"nobody carries run {run}: start" in listed.stderr
    assert "no worker is alive: start" in listed.stderr
    place.done("pause", run)
    assert place.run("runs").stderr == ""

    place.done("adjust", run, "--priority", "7")
    assert (place.json("runs")[0]["priority"], place.json("studies")[0]["priority"]) == (7, 7)
    assert "priority" in place.done("runs")
    again = place.run("submit", "ridge.yaml", "--set", "search.over[0].params.alpha=[0.9]")
    assert again.stdout.strip() == run
    assert f"run {run} of this study and spec goes on already" in again.stderr
    place.done("cancel", run, "--why", "seen enough")
    second = place.refused(0, "cancel", run, "--why", "another reason")
    assert second == "nothing was changed: it had been cancelled before: seen enough"
    place_of_option = place.refused(2, "runs", "--server", "http://localhost")
    assert "Put --server before the command." in place_of_option
    cron = place.refused(2, "retrain", "ridge", "--every", "0 3 * * *")
    assert "cron lines are not taken" in cron


def test_a_worker_makes_a_ledger_and_says_what_it_does(place: Place) -> None:
    home = str(place.folder / "new")
    said = place.folder / "worker.err"
    with said.open("wb") as errors:
        worker = place.start("--home", home, "worker", "--name", "w", stderr=errors)
    wait_until(lambda: f"worker w: waiting for tasks of sqlite:///{home}" in said.read_text())
    place.done("--home", home, "submit", "ridge.yaml")
    wait_until(lambda: "ridge, trial 0" in said.read_text())
    wait_until(lambda: "worker w: task 1 attempt 1: done in " in said.read_text())
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    assert said.read_text().splitlines()[-1].endswith("worker w: ended")


def test_slots_have_names_that_begin_with_the_one_that_is_given(place: Place) -> None:
    slots = place.start("worker", "--slots", "2", "--name", "big", stderr=subprocess.DEVNULL)
    wait_until(
        lambda: (
            {one["worker"]["name"] for one in place.json("fleet")["alive"]} == {"big-1", "big-2"}
        )
    )
    slots.send_signal(signal.SIGTERM)
    assert slots.wait(60) == 0
    assert "'a/b' is not of letters" in place.refused(2, "worker", "--name", "a/b")
