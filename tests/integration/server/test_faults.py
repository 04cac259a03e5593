"""A server whose processes, ledger, artefacts or supervisor are taken away under traffic."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from pathlib import Path

import psutil
import pytest

from fairlead.rollout.routes import set_traffic, undo
from tests.integration.server.rig import DEADLINE, MODEL, Home, load, serving, started
from tests.support.waiting import wait_until

CLIENTS = 3


def test_a_serving_process_that_is_killed_costs_what_it_had_in_hand_and_is_replaced(
    home: Home,
) -> None:
    with serving(home) as served, load(served.url, clients=CLIENTS) as clients:
        victim, other = served.processes()
        wait_until(lambda: clients.total > 50)
        victim.kill()
        wait_until(lambda: served.has_replaced(victim))
        wait_until(home.followed)
        before = clients.total
        wait_until(lambda: clients.total > before + 50)
        assert other in served.processes()
    assert not clients.failed
    assert len(clients.broken) <= CLIENTS


def test_processes_end_when_their_supervisor_is_killed(home: Home) -> None:
    with serving(home) as served:
        processes = served.processes()
        served.child.kill()
        _, alive = psutil.wait_procs(processes, timeout=5)
        assert not alive


def test_a_deployment_goes_on_with_another_server_when_its_own_is_killed(home: Home) -> None:
    version = home.good()
    with serving(home) as first:
        deployment = home.deploy(version, 10, 100)
        wait_until(lambda: home.route().traffic == {"v1": 90, "v2": 10})
        first.child.kill()
        with serving(home) as second, load(second.url) as clients:
            assert home.ended(deployment).state == "done"
            wait_until(home.followed)
    assert not clients.failed
    assert not clients.broken
    assert [dict(route.traffic) for route in home.ledger.routes.history(MODEL)] == [
        {"v1": 100},
        {"v1": 90, "v2": 10},
        {"v2": 100},
    ]


def test_a_deployment_whose_server_is_killed_in_its_check_is_checked_by_the_next(
    home: Home,
) -> None:
    version = home.good()
    with serving(home) as first:
        deployment = home.deploy(version)
        checker = wait_until(first.checker)
        checker.suspend()
        first.child.kill()
    with serving(home):
        assert home.ended(deployment).state == "done"


def test_sigterm_says_goodbye_and_exits_0(home: Home) -> None:
    with serving(home) as served:
        processes = served.processes()
        assert served.end() == 0
        assert not any(process.is_running() for process in processes)
        assert not home.ledger.servers.alive()


def test_ctrl_c_reaches_the_server_alone_and_ends_all(home: Home) -> None:
    with serving(home) as served:
        processes = served.processes()
        assert served.child.pid not in {os.getpgid(process.pid) for process in processes}
        os.killpg(served.child.pid, signal.SIGINT)
        assert served.child.wait(DEADLINE) == 0
        assert not any(process.is_running() for process in processes)


def test_processes_share_the_servers_session_and_its_share_of_the_processor(home: Home) -> None:
    with serving(home) as served:
        assert {os.getsid(process.pid) for process in served.processes()} == {served.child.pid}


def test_a_second_signal_does_not_wait_for_a_process_that_hangs(home: Home) -> None:
    with serving(home, "--grace", "600") as served:
        processes = served.processes()
        processes[0].suspend()
        served.child.send_signal(signal.SIGINT)
        wait_until(lambda: not home.ledger.servers.alive())
        assert served.child.poll() is None
        assert served.end(signal.SIGINT) == 0
        assert not any(process.is_running() for process in processes)


def test_a_process_that_hangs_is_replaced(home: Home) -> None:
    with serving(home) as served:
        victim = served.processes()[0]
        victim.suspend()
        wait_until(lambda: served.has_replaced(victim))
        assert served.said(f"serving process {victim.pid} hangs and is replaced")
        wait_until(home.followed)
        assert served.answers()


def test_a_ledger_that_is_locked_holds_up_no_request_and_no_replacement(home: Home) -> None:
    with serving(home) as served, load(served.url, clients=CLIENTS) as clients:
        victim = served.processes()[0]
        locking = sqlite3.connect(home.path / "ledger.db", isolation_level=None)
        locking.execute("BEGIN IMMEDIATE")
        victim.kill()
        wait_until(lambda: served.has_replaced(victim))
        before = clients.total
        wait_until(lambda: clients.total > before + 300)
        locking.close()
        wait_until(home.followed)
    assert not clients.failed
    assert len(clients.broken) <= CLIENTS


def test_a_ledger_that_does_not_answer_is_told_of_once_and_followed_again_when_it_is_back(
    home: Home,
) -> None:
    with serving(home) as served, load(served.url, clients=CLIENTS) as clients:
        home.deploy(home.good())
        wait_until(lambda: home.route().traffic == {"v2": 100})
        wait_until(home.followed)
        hiding = sqlite3.connect(home.path / "ledger.db", isolation_level=None)
        hiding.execute("ALTER TABLE deployments RENAME TO hidden")
        wait_until(lambda: served.said("serving continues"))
        before = clients.total
        wait_until(lambda: clients.total > before + 300)
        hiding.execute("ALTER TABLE hidden RENAME TO deployments")
        wait_until(lambda: served.said("is followed again"))
        undo(home.stores, MODEL, "back again")
        wait_until(home.followed)
    assert served.text.count("serving continues") == 1
    assert not clients.failed
    assert not clients.broken


def test_artefacts_that_are_away_are_missed_only_by_what_has_to_load(home: Home) -> None:
    with serving(home) as served:
        store = home.path / "artifacts"
        store.rename(home.path / "away")
        served.processes()[0].kill()
        wait_until(lambda: len(served.processes()) == 2)
        wait_until(lambda: any(served.ask()[0] == 503 for _ in range(20)))
        assert any(served.ask()[0] == 200 for _ in range(40))
        (home.path / "away").rename(store)
        wait_until(home.followed)
        wait_until(lambda: {served.ask()[0] for _ in range(20)} == {200})


def test_processes_that_end_as_soon_as_they_start_are_tried_more_rarely_and_it_is_said(
    home: Home, tmp_path: Path
) -> None:
    starts = tmp_path / "starts"
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'fairlead.serving.process' in sys.orig_argv:\n"
        f"    open({str(starts)!r}, 'a').write('x')\n"
        f"    if not os.path.exists({str(tmp_path / 'mended')!r}):\n"
        "        os._exit(3)\n"
    )
    with started(home, PYTHONPATH=str(tmp_path)) as served:
        wait_until(lambda: served.said("restarted less often"))
        assert served.child.poll() is None
        assert "ended with status 3, 5 in a row" in served.text
        began, before = time.monotonic(), len(starts.read_text())
        wait_until(lambda: len(starts.read_text()) > before)
        (tmp_path / "mended").touch()
        wait_until(served.answers)
        assert (len(starts.read_text()) - before) / (time.monotonic() - began) < 10


@pytest.mark.parametrize("way", ["by hand", "deployed"])
def test_traffic_moves_back_and_forth_under_load_without_one_failed_request(
    home: Home, way: str
) -> None:
    with serving(home) as served:
        assert home.ended(home.deploy(home.good())).state == "done"
        with load(served.url, clients=CLIENTS) as clients:
            for _ in range(50 if way == "by hand" else 5):
                if way == "by hand":
                    set_traffic(home.stores, MODEL, {"v1": 100}, "there")
                else:
                    assert home.ended(home.deploy(1)).state == "done"
                wait_until(home.followed)
                undo(home.stores, MODEL, "and back")
                wait_until(home.followed)
    assert not clients.failed
    assert not clients.broken
    assert clients.by("v1") > 10
    assert clients.by("v2") > 10


def test_a_revision_under_which_processes_crash_is_taken_back(home: Home) -> None:
    with serving(home) as served:
        deployment = home.deploy(home.good(), 10, 100)
        wait_until(lambda: "requests so far" in home.reason())
        for _ in range(3):
            crashing = wait_until(lambda: len(served.processes()) == 2 and served.processes()[0])
            crashing.send_signal(signal.SIGSEGV)
            crashing.wait()
        ended = home.ended(deployment)
        assert (ended.state, home.route().traffic) == ("undone", {"v1": 100})
        assert "crashed 3 times" in ended.reason


def test_a_locked_ledger_does_not_keep_a_server_from_ending(home: Home) -> None:
    with serving(home) as served:
        locking = sqlite3.connect(home.path / "ledger.db", isolation_level=None)
        locking.execute("BEGIN IMMEDIATE")
        assert served.end() == 0
        locking.close()


def test_two_servers_follow_the_same_routes_and_one_of_them_carries_out(home: Home) -> None:
    with serving(home) as first, serving(home) as second:
        assert home.ended(home.deploy(home.good())).state == "done"
        wait_until(home.followed)
        assert {one.ask()[1]["revision"] for one in (first, second)} == {"v2"}
        wait_until(lambda: home.revision("v1").state == "retired")
    events = home.ledger.routes.events(MODEL)
    assert [event.deployment for event in events if event.kind == "taken"] == [1, 2]
