"""Servers that begin, or go on, with something that cannot be proved."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from fairlead import manifest
from fairlead.registry.registry import Registry
from fairlead.rollout.routes import set_traffic
from fairlead.rollout.start import start_deployment
from fairlead.rollout.verification import CheckCache, Verifications
from fairlead.server.desired_state import PlanPublisher
from fairlead.serving.plan import Plan
from tests.integration.server.rig import DEADLINE, MODEL, Home, Served, load, serving, started
from tests.integration.serving.making import stored
from tests.support.waiting import wait_until

OTHER = "other"
IN_TIME = 8.0  # seconds in which a server that listens answers, whatever is away


@pytest.fixture
def live(home: Home) -> Home:
    """A home whose version 1 is live; nobody serves it now."""
    with serving(home):
        assert home.ended(home.ledger.deployments.get(MODEL)).state == "done"
    return home


def lose(home: Home, version: int) -> tuple[Path, Path]:
    """Take the version's model away, and what is known of it; the file, and where it is now."""
    found = home.ledger.versions.get(MODEL, version)
    candidate = manifest.load(home.artifacts.get(found.manifest))
    file = stored(home.path / "artifacts", candidate.files["model.onnx"].digest)
    away = file.rename(home.path / f"lost-{version}")
    shutil.rmtree(home.path / "checked")
    return file, away


def await_life(served: Served) -> None:
    assert served.url  # it listens from now on
    wait_until(lambda: served.status("/livez") == 200, seconds=IN_TIME)


def run(home: Home, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fairlead", "--home", str(home.path), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)


def registered(home: Home) -> None:
    """A second model, whose version 1 is what the first one's is."""
    registry = Registry(home.ledger, home.artifacts)
    version = home.ledger.versions.get(MODEL, 1)
    registry.register(registry.candidate(version), model=OTHER, size=version.size)


def another(home: Home) -> None:
    """A second model that is live."""
    registered(home)
    deployment = start_deployment(home.stores, OTHER, version=1)
    with serving(home):
        wait_until(lambda: home.ledger.deployments.get(OTHER, deployment.number).state == "done")


def test_a_home_that_lacks_what_is_live_is_served_and_mended_by_a_deployment(live: Home) -> None:
    version = live.good()
    lose(live, 1)
    with started(live) as served:
        await_life(served)
        assert served.status("/readyz") == 503
        status, answer = served.ask()
        assert (status, answer["revision"]) == (503, "v1")
        assert answer["error"].startswith("revision 'v1' of model 'sums' cannot be served: artef")
        assert served.ask(revision="1")[0] == 503
        assert served.status(f"/v2/models/{MODEL}") == 503
        assert served.status(f"/v2/models/{MODEL}/ready") == 503
        assert served.status("/openapi.json") == 200
        done = run(live, "deploy", MODEL, "--version", str(version), "--canary", "100", "--wait")
        assert done.returncode == 0, done.stderr
        assert served.ask()[0] == 200
        wait_until(lambda: served.status("/readyz") == 200)


def test_a_canary_goes_on_beside_what_cannot_be_served_and_that_comes_back_by_itself(
    live: Home,
) -> None:
    version = live.good()
    file, away = lose(live, 1)
    with started(live) as served, load(served.url) as clients:
        deployment = live.deploy(version, 50, 100)
        wait_until(lambda: clients.answers[200, "v2"] and clients.answers[503, "v1"])
        assert live.ended(deployment).state == "done"
        wait_until(live.followed)
        set_traffic(live.stores, MODEL, {"v1": 100}, "back")
        before = clients.answers[503, "v1"]
        wait_until(lambda: served.said("revision 'v1' of model 'sums' cannot be served"))
        away.rename(file)
        wait_until(live.followed)
        assert served.ask()[1]["revision"] == "v1"
        assert clients.answers[503, "v1"] == before
    assert not clients.broken


def test_an_undo_to_what_cannot_be_served_writes_nothing_and_what_answered_goes_on(
    live: Home,
) -> None:
    with serving(live):
        assert live.ended(live.deploy(live.good())).state == "done"
    lose(live, 1)
    with serving(live) as served, load(served.url) as clients:
        undone = run(live, "undo", MODEL, "--why", "to see")
        assert undone.returncode == 1
        assert "nothing was written" in undone.stderr
        assert live.route().traffic == {"v2": 100}
    assert set(clients.answers) == {(200, "v2")}


def test_no_server_claims_to_follow_a_route_of_which_something_is_missing(live: Home) -> None:
    lose(live, 1)
    with started(live) as served:
        await_life(served)
        (server,) = wait_until(live.ledger.servers.alive)
        assert server.routes == {}
        assert run(live, "test-endpoint", MODEL).returncode == 1


def test_artefacts_that_are_away_at_first_are_found_once_they_are_there(live: Home) -> None:
    store = live.path / "artifacts"
    store.rename(live.path / "away")
    with started(live) as served:
        await_life(served)
        assert served.ask()[0] == 503
        (live.path / "away").rename(store)
        wait_until(live.followed)
        assert served.ask()[0] == 200
        wait_until(lambda: served.status("/readyz") == 200)


def test_a_ledger_that_is_locked_from_the_start_is_read(live: Home) -> None:
    deployment = live.deploy(live.good())
    locking = sqlite3.connect(live.path / "ledger.db", isolation_level=None)
    locking.execute("BEGIN IMMEDIATE")
    with started(live) as served:
        await_life(served)
        wait_until(served.answers, seconds=IN_TIME)
        wait_until(lambda: served.status("/readyz") == 200)
        assert live.ledger.deployments.get(MODEL, deployment.number).server is None
        locking.close()
        assert live.ended(deployment).state == "done"
        wait_until(lambda: served.ask()[1]["revision"] == "v2")


def test_a_model_that_cannot_be_begun_keeps_none_waiting_that_is_live(live: Home) -> None:
    registered(live)
    Registry(live.ledger, live.artifacts).promote(OTHER, 1, why="the first")
    locking = sqlite3.connect(live.path / "ledger.db", isolation_level=None)
    locking.execute("BEGIN IMMEDIATE")
    with started(live) as served:
        await_life(served)
        wait_until(served.answers, seconds=IN_TIME)
        assert served.status(f"/v2/models/{OTHER}") == 404
        locking.close()
        wait_until(lambda: served.status(f"/v2/models/{OTHER}/ready") == 200)


def test_a_deployment_is_paused_while_the_ledger_is_locked_and_keeps_what_it_has(
    live: Home,
) -> None:
    with serving(live) as served:
        deployment = live.deploy(live.good(), 50, 100)
        wait_until(lambda: "requests so far" in live.reason())
        locking = sqlite3.connect(live.path / "ledger.db", isolation_level=None)
        locking.execute("BEGIN IMMEDIATE")
        wait_until(lambda: served.said("serving continues"))
        with load(served.url) as clients:
            wait_until(lambda: clients.by("v1") > 50 and clients.by("v2") > 50)
            locking.close()
            assert live.ended(deployment).state == "done"
    assert not clients.failed
    assert not clients.broken


def test_a_server_that_cannot_write_to_the_ledger_is_not_said_to_be_gone(live: Home) -> None:
    with serving(live) as served:
        locking = sqlite3.connect(live.path / "ledger.db", isolation_level=None)
        locking.execute("BEGIN IMMEDIATE")
        wait_until(lambda: not live.ledger.servers.alive())
        assert served.answers()
        told, url = run(live, "route", MODEL), served.url
        locking.close()
    assert "no server has reported since" in told.stderr
    assert f"({url})" in told.stderr
    assert "no server serves it now" not in told.stderr


def test_a_server_says_that_it_waits_for_a_ledger_that_another_program_keeps_to_itself(
    live: Home,
) -> None:
    with live.ledger:
        pass  # nobody else may have it open
    locking = sqlite3.connect(live.path / "ledger.db", isolation_level=None)
    locking.execute("PRAGMA locking_mode = EXCLUSIVE")
    locking.execute("BEGIN EXCLUSIVE")
    with started(live) as served:
        said = wait_until(lambda: served.text.endswith("\n") and served.text)
        (line,) = said.splitlines()
        assert_late(live, line)
        locking.close()
        await_life(served)
        wait_until(served.answers)


def test_of_a_slow_disk_a_server_says_that_it_waits_and_not_that_another_program_is_there(
    live: Home, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sqlite3, sys, time\n"
        "connect = sqlite3.connect\n"
        "def slow(*args, **named):\n"
        "    sqlite3.connect = sqlite3.dbapi2.connect = connect\n"
        "    time.sleep(3)\n"
        "    return connect(*args, **named)\n"
        "if 'serve' in sys.orig_argv:\n"
        "    sqlite3.connect = sqlite3.dbapi2.connect = slow\n"
    )
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    with started(live, PYTHONPATH=path) as served:
        await_life(served)
        line, *_ = served.text.splitlines()
        assert_late(live, line)


def assert_late(live: Home, line: str) -> None:
    """That the ledger is not open is all that was seen: neither line says why."""
    document = json.loads(line)
    assert document["level"] == "warning"
    assert document["message"] == (
        f"opening ledger '{live.path / 'ledger.db'}': not open after 2 s; this server binds its "
        "address once it is (where other programs keep it locked, it gives up after a minute)"
    )


def test_a_model_that_cannot_be_proved_holds_no_other_up(live: Home) -> None:
    another(live)
    version = live.good()
    with serving(live):
        assert live.ended(live.deploy(version)).state == "done"
    lose(live, version)
    with started(live) as served:
        await_life(served)
        wait_until(lambda: served.status(f"/v2/models/{OTHER}/ready") == 200, seconds=IN_TIME)
        wait_until(lambda: served.status("/readyz") == 200)
        assert served.ask()[0] == 503


def test_a_check_that_hangs_is_waited_for_no_longer_than_others_can_wait(
    live: Home, tmp_path: Path
) -> None:
    shutil.rmtree(live.path / "checked")
    hang = tmp_path / "hang"
    hang.touch()
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys, time\n"
        f"while 'fairlead.serving.check' in sys.orig_argv and os.path.exists({str(hang)!r}):\n"
        "    time.sleep(0.05)\n"
    )
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    with started(live, PYTHONPATH=path) as served:
        await_life(served)
        assert "is being checked" in served.ask()[1]["error"]
        hang.unlink()
        wait_until(served.answers)
        wait_until(live.followed)


def test_a_first_plan_that_knows_nothing_says_why_and_the_next_one_replaces_it(home: Home) -> None:
    told: list[Plan] = []
    verifications = Verifications(home.stores, CheckCache(), on_finished=lambda: None)
    publisher = PlanPublisher(verifications, told.append)
    publisher.publish_first("following the ledger: it is away")
    publisher.publish_first("said once")
    publisher.update([])
    publisher.update([])
    assert [(plan.serial, plan.lacking) for plan in told] == [
        (1, "following the ledger: it is away"),
        (2, "no model is live yet"),
    ]
