"""Whatever is killed, every trial counts once and the study is the same."""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
import time
from contextlib import closing
from typing import Any

import psutil
import pytest

from tests.integration.job import families, specs
from tests.integration.job.conftest import Place, processes_of
from tests.support.waiting import wait_until


def told(outcome: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(t["number"], t["params"], t["scores"], t["state"]) for t in outcome["trials"]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    calm = Place(folder=tmp_path_factory.mktemp("calm"))
    calm.write("slow.py", families.SLOW)
    calm.write("slow.yaml", specs.slow())
    return told(calm.json("run", "slow.yaml", "--workers", "1"))


@pytest.fixture
def slow(place: Place) -> Place:
    place.environ["FAIRLEAD_LEASE"] = "2"
    place.write("slow.py", families.SLOW)
    place.write("slow.yaml", specs.slow())
    return place


def workers(place: Place) -> list[psutil.Process]:
    found = processes_of(place)
    return [one for one in found if "worker" in one.info["cmdline"] and is_alive(one)]


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def children(place: Place) -> list[psutil.Process]:
    return [p for p in processes_of(place) if is_child(p)]


def is_child(process: psutil.Process) -> bool:
    """Whether it trains: forked by the run's fork server, or a program of its own."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.name() == "fairlead-child" or "fairlead.worker.child" in process.cmdline()
    return False


def exactly_once(place: Place, trials: int) -> None:
    with sqlite3.connect(place.home / "ledger.db") as ledger:
        rows = ledger.execute("select count(*), count(distinct trial) from results").fetchone()
    assert rows == (trials, trials)


def suspended(process: psutil.Process, place: Place, *, writing: bool) -> bool:
    """Stop it; whether that was while it wrote to the ledger, or while it did not, as asked."""
    with closing(sqlite3.connect(place.home / "ledger.db", isolation_level=None)) as ledger:
        if writing:
            wait_until(lambda: locked(ledger))
        process.suspend()
        still = all(locked(ledger) for _ in range(20) if time.sleep(0.005) is None)
    return still == writing


def locked(ledger: sqlite3.Connection) -> bool:
    """Whether somebody is writing at this moment."""
    ledger.execute("pragma busy_timeout = 0")
    try:
        ledger.execute("begin immediate")
    except sqlite3.OperationalError:
        return True
    ledger.execute("rollback")
    return False


def finished(place: Place) -> dict[str, Any]:
    """The same command again: it goes on where it stands, or shows what is there."""
    outcome: dict[str, Any] = place.json("run", "slow.yaml", "--workers", "2")
    return outcome


@pytest.mark.parametrize("victim", ["worker", pytest.param("child", marks=pytest.mark.long)])
def test_six_kills_of_workers_or_children_change_nothing(
    slow: Place, undisturbed: list[tuple[Any, ...]], victim: str
) -> None:
    run = slow.start("run", "slow.yaml", "--workers", "2")
    find = workers if victim == "worker" else children
    for kill in range(6):
        wait_until(lambda kill=kill: slow.counts()["done"] >= kill and find(slow))
        random.Random(kill).choice(wait_until(lambda: find(slow))).kill()
    assert run.wait(120) == 0, (slow.folder / "output.log").read_text()
    assert told(finished(slow)) == undisturbed
    exactly_once(slow, 12)


def test_a_killed_coordinator_takes_its_workers_along_and_the_next_run_goes_on(
    slow: Place, undisturbed: list[tuple[Any, ...]]
) -> None:
    run = slow.start("run", "slow.yaml", "--workers", "2")
    wait_until(lambda: slow.counts()["done"] >= 3)
    run.kill()
    run.wait()
    wait_until(lambda: not processes_of(slow), seconds=5)
    assert told(finished(slow)) == undisturbed
    exactly_once(slow, 12)


def test_all_killed_at_once_six_times(slow: Place, undisturbed: list[tuple[Any, ...]]) -> None:
    for kill in range(6):
        run = slow.start("run", "slow.yaml", "--workers", "2")
        wait_until(lambda kill=kill: slow.counts()["done"] >= kill and children(slow))
        for process in processes_of(slow):
            process.kill()
        run.wait()
    assert told(finished(slow)) == undisturbed
    exactly_once(slow, 12)


def test_a_worker_stopped_past_its_lease_loses_its_task_and_harms_nothing(
    slow: Place, undisturbed: list[tuple[Any, ...]]
) -> None:
    run = slow.start("run", "slow.yaml", "--workers", "2")
    wait_until(lambda: slow.counts()["done"] >= 1)
    run.kill()
    run.wait()
    wait_until(lambda: not processes_of(slow))
    first = slow.start("worker", "--study", "slow")  # a hired one would be killed
    stopped = psutil.Process(first.pid)
    wait_until(lambda: children(slow) and slow.counts()["running"] >= 1)
    while not suspended(stopped, slow, writing=False):
        stopped.resume()
    second = slow.start("worker", "--study", "slow")
    wait_until(lambda: slow.counts()["done"] == 12)
    stopped.resume()
    for worker in (first, second):
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0, (slow.folder / "output.log").read_text()
    assert told(finished(slow)) == undisturbed
    exactly_once(slow, 12)


def test_a_hired_worker_that_is_stopped_while_it_writes_is_replaced(slow: Place) -> None:
    slow.write("slow.yaml", specs.slow(trials=200, seconds=0.02))
    run = slow.start("run", "slow.yaml", "--workers", "2")
    wait_until(lambda: slow.counts()["done"] >= 2)
    stopped = workers(slow)[0]
    while not suspended(stopped, slow, writing=True):
        stopped.resume()
    assert run.wait(120) == 0, (slow.folder / "output.log").read_text()
    exactly_once(slow, 200)
    assert not stopped.is_running()


def test_ctrl_c_finishes_running_tasks_and_keeps_everything(
    slow: Place, undisturbed: list[tuple[Any, ...]]
) -> None:
    run = slow.start("run", "slow.yaml", "--workers", "2")
    wait_until(lambda: slow.counts()["running"] == 2)
    run.send_signal(signal.SIGINT)
    assert run.wait(60) == 130
    assert not processes_of(slow)
    counts = slow.counts()
    last = (slow.folder / "output.log").read_text().splitlines()[-1]
    kept = f"{counts['done']} of 12 trials kept"
    assert last == f"stopped: {kept}; run the same command to go on"
    assert counts["done"] >= 2
    assert counts["running"] == 0
    assert told(finished(slow)) == undisturbed


def test_a_second_ctrl_c_stops_at_once_and_loses_only_attempts(slow: Place) -> None:
    slow.write("slow.yaml", specs.slow(trials=3, seconds=600))
    run = slow.start("run", "slow.yaml", "--workers", "2")
    wait_until(lambda: slow.counts()["running"] == 2)
    run.send_signal(signal.SIGINT)
    wait_until(lambda: "Ctrl-C or SIGTERM again" in (slow.folder / "output.log").read_text())
    run.send_signal(signal.SIGINT)
    assert run.wait(10) == 130
    assert not processes_of(slow)
    assert slow.counts()["running"] == 0


def test_two_runs_of_one_spec_share_the_work(
    slow: Place, undisturbed: list[tuple[Any, ...]]
) -> None:
    runs = [slow.start("run", "slow.yaml", "--workers", "1") for _ in range(2)]
    assert [run.wait(120) for run in runs] == [0, 0], (slow.folder / "output.log").read_text()
    assert told(finished(slow)) == undisturbed
    exactly_once(slow, 12)
    with sqlite3.connect(slow.home / "ledger.db") as ledger:
        assert ledger.execute("select count(*) from versions").fetchone() == (1,)


def test_the_study_does_not_depend_on_the_number_of_workers(
    slow: Place, undisturbed: list[tuple[Any, ...]]
) -> None:
    assert told(slow.json("run", "slow.yaml", "--workers", "5")) == undisturbed
