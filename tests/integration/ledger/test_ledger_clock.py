"""The clock of the machine steps by an hour while workers hold leases."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from fairlead.ledger.store import open_ledger
from fairlead.records import Counts
from tests.integration.clock import Clock
from tests.integration.ledger.processes import STUDY, add_trials, ledger_file
from tests.support.waiting import wait_until

# Answers one line of commands after the other, each in its own process with the stepped clock.
SHELL = """
import sys
from fairlead.errors import Lost
from fairlead.ledger.store import open_ledger
from fairlead.records import Result

with open_ledger(sys.argv[1]) as ledger:
    held = None
    print("ready", flush=True)
    for line in sys.stdin:
        match line.strip():
            case "claim":
                held = ledger.tasks.claim(sys.argv[2], lease=10)
                print(held and held.trials[0].number, flush=True)
            case "commit":
                try:
                    ledger.tasks.commit(held, [Result(number=held.trials[0].number, state="done")])
                    print("done", flush=True)
                except Lost:
                    print("lost", flush=True)
            case "heartbeat":
                ledger.tasks.heartbeat(held, lease=10)
                print("beaten", flush=True)
            case "now":
                print(ledger.now(), flush=True)
"""


class Worker:
    """A process that does to the ledger what it is told."""

    def __init__(self, file: Path, name: str, clock: Clock) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SHELL, str(file), name],
            env={**os.environ, **clock.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.answer() == "ready"

    def __call__(self, command: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        self.process.communicate()


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


@pytest.fixture
def workers(tmp_path: Path, clock: Clock) -> Iterator[tuple[Worker, Worker]]:
    with open_ledger(ledger_file(tmp_path)) as ledger:
        add_trials(ledger, 2)
    both = tuple(Worker(ledger_file(tmp_path), name, clock) for name in ("one", "two"))
    yield both[0], both[1]
    for worker in both:
        worker.end()


def step(clock: Clock, workers: tuple[Worker, Worker], by: timedelta) -> None:
    clock.step(by)
    wanted = (datetime.now().astimezone() + by).timestamp()
    wait_until(lambda: all(abs(float(worker("now")) - wanted) < 60 for worker in workers))


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_dead_workers_task_is_given_away_within_its_lease_after_a_step(
    clock: Clock, workers: tuple[Worker, Worker], hours: int
) -> None:
    one, two = workers
    assert one("claim") == "0"
    began = time.monotonic()
    step(clock, workers, timedelta(hours=hours))
    wait_until(lambda: two("claim") == "0")
    assert time.monotonic() - began < 30  # not an hour
    assert one("commit") == "lost"
    assert two("commit") == "done"


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_living_worker_keeps_its_task_over_a_step(
    tmp_path: Path, clock: Clock, workers: tuple[Worker, Worker], hours: int
) -> None:
    one, two = workers
    assert one("claim") == "0"
    step(clock, workers, timedelta(hours=hours))
    assert one("heartbeat") == "beaten"
    assert two("claim") == "1"
    assert [one("commit"), two("commit")] == ["done", "done"]
    with open_ledger(ledger_file(tmp_path)) as ledger:
        assert ledger.studies.counts(STUDY.id) == Counts(done=2)
        assert all(
            row.result and row.result.attempts == 1 for row in ledger.studies.trials(STUDY.id)
        )


def test_tokens_rise_and_the_history_stays_in_order_over_a_step_back(
    tmp_path: Path, clock: Clock, workers: tuple[Worker, Worker]
) -> None:
    one, two = workers
    one("claim")
    step(clock, workers, timedelta(hours=-1))
    two("claim")
    two("commit")
    with open_ledger(ledger_file(tmp_path)) as ledger:
        kinds = [event.kind for event in ledger.studies.events(STUDY.id)]
    assert kinds == ["opened", "claimed", "lost", "claimed", "committed"]
