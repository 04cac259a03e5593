"""A fleet on PostgreSQL: its processes are killed, its server is restarted, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fairlead.ledger.store import open_ledger
from tests.support.fleet import Fleet, once_each, write_spec
from tests.support.postgres import PostgresServer
from tests.support.waiting import wait_until


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def fleet(tmp_path: Path, server: PostgresServer) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, server.url)
    yield fleet
    fleet.close()


def test_what_is_killed_costs_an_attempt_and_no_trial(fleet: Fleet, undisturbed: list[Any]) -> None:
    """A worker and the controller; the spec and its code are gone from where they were."""
    fleet.start("c1", "controller")
    for name in ("w1", "w2"):
        fleet.start(name, "worker", "--name", name)
    run = fleet.done("submit", "forest.yaml").strip()
    (fleet.folder / "forest.yaml").unlink()
    (fleet.folder / "slow.py").unlink()
    with open_ledger(fleet.url) as ledger:
        study = ledger.runs.get(run).study
        wait_until(lambda: ledger.studies.counts(study).done >= 4)
        wait_until(lambda: any(one.worker == "w1" for one in ledger.tasks.running()))
        fleet.kill("w1")
        fleet.kill("c1")
        fleet.start("c2", "controller")
        fleet.start("w3", "worker", "--name", "w3")
        outcome = json.loads(fleet.done("watch", run, "--json"))
        assert outcome["study"] == study
        kinds = Counter(event.kind for event in ledger.studies.events(study))
        assert kinds["lost"] == 1
        assert once_each(ledger, study)
        assert {worker.name for worker in ledger.workers.silent()} == {"w1"}
    assert fleet.trials() == undisturbed
    assert (
        "not heard of for"
        in subprocess.run(
            fleet.command("client", "fleet"),
            env=fleet.environ(),
            capture_output=True,
            text=True,
            check=True,
        ).stderr
    )
    fleet.end()


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGKILL], ids=["immediate", "kill -9"])
def test_a_server_that_is_restarted_costs_no_trial(
    fleet: Fleet, server: PostgresServer, undisturbed: list[Any], how: signal.Signals
) -> None:
    fleet.start("c1", "controller")
    for name in ("w1", "w2"):
        fleet.start(name, "worker", "--name", name)
    run = fleet.done("submit", "forest.yaml").strip()
    with open_ledger(fleet.url) as ledger:
        study = ledger.runs.get(run).study
        for done in (3, 10, 17):
            wait_until(lambda done=done: ledger.studies.counts(study).done >= done)
            server.end(how)
            server.start()
        fleet.done("watch", run, "--json")
        assert once_each(ledger, study)
    assert fleet.trials() == undisturbed
    fleet.end()


def test_a_worker_that_was_stopped_past_its_lease_throws_its_result_away(
    fleet: Fleet, undisturbed: list[Any]
) -> None:
    fleet.start("c1", "controller")
    stopped = fleet.start("w1", "worker", "--name", "w1")
    run = fleet.done("submit", "forest.yaml").strip()
    with open_ledger(fleet.url) as ledger:
        study = ledger.runs.get(run).study
        wait_until(ledger.tasks.running)
        stopped.send_signal(signal.SIGSTOP)
        (held,) = ledger.tasks.running()
        fleet.start("w2", "worker", "--name", "w2")
        wait_until(lambda: all(one.task != held.task for one in ledger.tasks.running()))
        wait_until(lambda: ledger.studies.counts(study).done >= 3)
        stopped.send_signal(signal.SIGCONT)
        fleet.done("watch", run, "--json")
        assert once_each(ledger, study)
    assert "lease lost; result discarded" in fleet.logs()
    assert fleet.trials() == undisturbed
    fleet.end()


def test_a_run_is_changed_paused_and_cancelled_while_it_goes_on(fleet: Fleet) -> None:
    fleet.start("c1", "controller")
    fleet.start("w1", "worker", "--name", "w1")
    run = fleet.done("submit", "forest.yaml").strip()
    with open_ledger(fleet.url) as ledger:
        study = ledger.runs.get(run).study
        wait_until(lambda: ledger.studies.counts(study).done >= 2)
        fleet.done("pause", run)
        wait_until(lambda: ledger.tasks.running() == [])
        paused = ledger.studies.counts(study)
        more = fleet.done("adjust", run, "--trials", "30").strip()
        assert ledger.runs.get(run).state == "cancelled"
        assert ledger.studies.get(study).size == 30
        assert ledger.studies.counts(study).done == paused.done
        fleet.done("resume", more)
        wait_until(lambda: ledger.studies.counts(study).done > paused.done)
        fleet.done("cancel", more, "--why", "seen enough")
        ended = ledger.runs.get(more)
        assert (ended.state, ended.reason) == ("cancelled", "seen enough")
        wait_until(lambda: ledger.tasks.running() == [])
        assert ledger.tasks.waiting() == []
        again = fleet.done("submit", "forest.yaml", "--set", "search.trials=12").strip()
        outcome = json.loads(fleet.done("watch", again, "--json"))
        assert len(outcome["trials"]) == 12
    watched = subprocess.run(
        fleet.command("client", "watch", more),
        env=fleet.environ(),
        capture_output=True,
        check=False,
    )
    assert watched.returncode == 1
    assert b"was cancelled: seen enough" in watched.stderr
    fleet.end()


def test_a_worker_gives_its_task_back_when_the_time_to_drain_is_over(fleet: Fleet) -> None:
    write_spec(fleet.folder, seconds=60)
    worker = fleet.start("w1", "worker", "--name", "w1", "--drain-seconds", "1")
    run = fleet.done("submit", "forest.yaml").strip()
    with open_ledger(fleet.url) as ledger:
        study = ledger.runs.get(run).study
        wait_until(ledger.tasks.running)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        assert ledger.tasks.running() == []
        (released,) = (one for one in ledger.studies.events(study) if one.kind == "released")
        assert released.worker == "w1"
        assert ledger.workers.alive() == []


def test_slots_are_filled_again_where_a_worker_dies(fleet: Fleet) -> None:
    slots = fleet.start("m1", "worker", "--slots", "2")
    with open_ledger(fleet.url) as ledger:
        wait_until(lambda: len(ledger.workers.alive()) == 2)
        first, second = ledger.workers.alive()
        os.kill(first.process, signal.SIGKILL)
        wait_until(lambda: {one.name for one in ledger.workers.alive()} - {first.name, second.name})
        slots.send_signal(signal.SIGTERM)
        assert slots.wait(30) == 0
        wait_until(lambda: ledger.workers.alive() == [])
