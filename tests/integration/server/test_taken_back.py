"""Routes that are asked for by hand: looked at before, and taken back after."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fairlead.artifacts import Artifacts
from fairlead.control import endpoints
from fairlead.errors import Conflict, Failed
from fairlead.records import Route, Server
from fairlead.registry.registry import Registry
from fairlead.rollout.routes import revert, set_traffic, undo
from tests.integration.server.rig import MODEL, Home, Load, load, opened, serving, started
from tests.integration.serving.making import adding
from tests.support.waiting import wait_until


def fairlead(home: Home, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fairlead", "--home", str(home.path), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def twice(home: Home) -> None:
    """v1, and then v2 was brought into service by a server that has ended."""
    with serving(home):
        assert home.ended(wait_until(lambda: home.ledger.deployments.get(MODEL))).state == "done"
        assert home.ended(home.deploy(home.good())).state == "done"


def file_of(home: Home, version: int, name: str) -> Path:
    found = home.ledger.versions.get(MODEL, version)
    candidate = Registry(home.ledger, home.artifacts).candidate(found)
    return home.artifacts.path(candidate.files[name].digest)


@contextmanager
def server(home: Home, url: str, *, follows: int) -> Iterator[None]:
    """One that is known to the ledger by this address, and says that it follows this route."""
    known = Server(id="other", url=url, processes=1, routes={MODEL: follows})
    home.ledger.servers.seen(known, lease=60.0)
    yield
    home.ledger.servers.gone("other")


def details(home: Home) -> dict[str, object]:
    """Of the route in force."""
    found: dict[str, object] = json.loads(Artifacts(home.artifacts.root).get(home.route().details))
    return found


# ---- before ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.onnx", "golden.json", "holdout.npz"])
@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_nothing_goes_back_to_a_version_whose_files_are_not_what_they_were(
    home: Home, name: str, how: str
) -> None:
    twice(home)
    file = file_of(home, 1, name)
    file.unlink()
    if how == "damaged":
        file.write_bytes(b"something else")
    for args in (
        ("undo", MODEL, "--why", "too low"),
        ("route", MODEL, "--set", "v1=50,v2=50"),
    ):
        done = fairlead(home, *args)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"routing '{MODEL}' to v1: artefact ")
        assert "nothing was written" in line
        assert not done.stdout
    assert home.route().number == 2


def test_a_version_of_which_no_check_is_known_is_checked_before_anything_goes_back_to_it(
    home: Home,
) -> None:
    with serving(home):
        assert home.ended(wait_until(lambda: home.ledger.deployments.get(MODEL))).state == "done"
    wrong = home.version(adding(1.0))
    revision = home.deploy(wrong).revision
    home.ledger.routes.mark(MODEL, revision, "ready", "nobody looked", was="loading")
    set_traffic(home.stores, MODEL, {revision: 100}, "by hand")
    set_traffic(home.stores, MODEL, {"v1": 100}, "by hand")
    done = fairlead(home, "undo", MODEL, "--why", "it was better")
    assert done.returncode == 1
    assert "golden row 1" in done.stderr
    assert home.route().number == 3


def test_what_has_traffic_already_is_not_looked_at_again(home: Home) -> None:
    twice(home)
    set_traffic(home.stores, MODEL, {"v1": 50, "v2": 50}, "by hand")
    file_of(home, 1, "model.onnx").unlink()
    assert fairlead(home, "route", MODEL, "--set", "v1=90,v2=10").returncode == 0
    assert home.route().traffic == {"v1": 90, "v2": 10}


# ---- after ----------------------------------------------------------------------------------


@contextmanager
def elsewhere(folder: Path) -> Iterator[str]:
    """A server of another home, whose v1 is this one's and whose v2 is not."""
    with opened(folder) as other:
        other.version(adding(5.0), golden=5.0)
        with serving(other) as served:
            first = wait_until(lambda: other.ledger.deployments.get(MODEL))
            assert other.ended(first).state == "done"
            assert other.ended(other.deploy(2)).state == "done"
            yield served.url


def settle(home: Home, route: Route, *followed: str) -> None:
    """What undo and route --set do after the route is written."""
    stores = home.stores
    endpoints.settle_or_revert(stores, route, followed=followed, token=None, on_event=print)


@pytest.mark.parametrize(
    "args", [("undo", "--why", "too low"), ("route", "--set", "v2=100", "--why", "too low")]
)
def test_a_route_whose_answers_are_not_what_they_should_be_is_taken_back(
    home: Home, made: Path, tmp_path: Path, args: tuple[str, ...]
) -> None:
    with elsewhere(shutil.copytree(made, tmp_path / "elsewhere")) as url:
        twice(home)
        set_traffic(home.stores, MODEL, {"v1": 100}, "back")
        with server(home, url, follows=9):
            done = fairlead(home, args[0], MODEL, *args[1:])
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert f"testing '{MODEL}' at {url}: revision 'v2': golden row 1: it predicts 6" in last
    assert last.endswith("; route 4 was taken back: route 5 is in force now (v1 100 %)")
    route = home.route()
    assert (route.number, dict(route.traffic), route.kind) == (5, {"v1": 100}, "undo")
    assert route.why.startswith("route 4 was taken back: testing")
    found = details(home)
    assert (found["route"], found["revision"], found["why"]) == (5, "v1", route.why)


def test_a_route_that_a_server_does_not_follow_in_time_is_taken_back(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "_PATIENCE", 0.3)
    twice(home)
    with server(home, "http://127.0.0.1:9", follows=2):
        route = undo(home.stores, MODEL, "too low")
        with pytest.raises(Failed) as told:
            settle(home, route, "other")
    assert str(told.value) == (
        "route 3 of 'sums' was put in force, but after 0.3 s not every process follows it: "
        "http://127.0.0.1:9; see the logs of these servers; route 3 was taken back: route 4 is in "
        "force now (v2 100 %), and not followed by http://127.0.0.1:9"
    )
    assert home.route().traffic == {"v2": 100}
    assert details(home)["revision"] == "v2"


def test_a_route_that_somebody_else_has_changed_meanwhile_stays_theirs(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "_PATIENCE", 0.3)
    twice(home)
    with server(home, "http://127.0.0.1:9", follows=2):
        route = undo(home.stores, MODEL, "too low")
        theirs = set_traffic(home.stores, MODEL, {"v1": 50, "v2": 50}, "a look")
        with pytest.raises(Failed, match=r"route 4 of somebody else is in force by now \(v1 50"):
            settle(home, route, "other")
        with pytest.raises(Conflict):
            revert(home.stores, route, "too low")
    assert home.route() == theirs


def test_what_was_taken_back_is_undone_to_where_the_route_before_it_was(home: Home) -> None:
    twice(home)
    former = home.route()
    route = undo(home.stores, MODEL, "too low")
    back = revert(home.stores, route, "wrong")
    assert back is not None
    assert (back.traffic, back.before) == (former.traffic, former.before)
    assert undo(home.stores, MODEL, "after all").traffic == {"v1": 100}


def test_a_route_that_a_deployment_was_begun_from_meanwhile_stays_and_that_goes_on(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "_PATIENCE", 0.3)
    twice(home)
    with server(home, "http://127.0.0.1:9", follows=2):
        route = undo(home.stores, MODEL, "too low")
        begun = home.deploy(home.good(2))
        with pytest.raises(Failed, match=r"begun meanwhile and goes on: route 3 stays in force"):
            settle(home, route, "other")
    assert home.route() == route
    assert home.ledger.deployments.get(MODEL, begun.number).state == "running"


def test_a_server_that_follows_neither_route_takes_none_back(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "_PATIENCE", 0.3)
    twice(home)
    with server(home, "http://127.0.0.1:9", follows=1):
        route = undo(home.stores, MODEL, "too low")
        with pytest.raises(Failed) as told:
            settle(home, route)
    assert str(told.value) == (
        "route 3 of 'sums' was put in force, but after 0.3 s it is not followed by "
        "http://127.0.0.1:9, which did not follow route 2 either; it stays in force (v1 100 %): "
        "see the logs of these servers"
    )
    assert home.route() == route


@contextmanager
def holed(home: Home) -> Iterator[None]:
    """A canary of v3 over v2 at its first step; one of two servers cannot answer with v2."""
    twice(home)
    with serving(home):
        home.deploy(home.good(2), 10, 100)
        wait_until(lambda: home.route().traffic.get("v3"))
        wait_until(home.followed)
        file_of(home, 2, "model.onnx").unlink()
        shutil.rmtree(home.path / "checked")
        with started(home) as second:
            wait_until(lambda: len(home.ledger.servers.alive()) == 2)
            wait_until(lambda: second.said("revision 'v2' of model 'sums' cannot be served"))
            assert home.ledger.deployments.get(MODEL).state == "running"
            yield


@pytest.mark.parametrize(
    ("args", "state"),
    [
        (("undo", "--why", "wrong"), "undone"),
        pytest.param(("route", "--set", "v2=90,v1=10"), "superseded", marks=pytest.mark.long),
    ],
)
def test_a_canary_is_ended_for_good_while_one_server_lacks_what_it_goes_back_to(
    home: Home, args: tuple[str, ...], state: str
) -> None:
    with holed(home):
        done = fairlead(home, args[0], MODEL, *args[1:])
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "which did not follow route 3 either; it stays in force (v2 " in last
    route = home.route()
    assert (route.number, route.traffic.get("v3")) == (4, None)
    assert home.ledger.deployments.get(MODEL).state == state


def stepped(home: Home) -> None:
    """A canary of v3 over v2 is at its first step; its server has ended."""
    twice(home)
    with serving(home):
        home.deploy(home.good(2), 10, 100)
        wait_until(lambda: home.route().traffic.get("v3"))


def test_no_step_of_a_canary_comes_back_over_a_server_that_followed_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "_PATIENCE", 0.3)
    stepped(home)
    with server(home, "http://127.0.0.1:9", follows=3):
        shared = set_traffic(home.stores, MODEL, {"v1": 100}, "by hand")
        with pytest.raises(Failed, match=r"route 5 is in force now \(v2 100 %\)"):
            settle(home, shared, "other")
        assert home.ledger.deployments.get(MODEL).state == "superseded"


def test_an_undone_canary_stays_undone_over_a_server_that_followed_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "_PATIENCE", 0.3)
    stepped(home)
    with server(home, "http://127.0.0.1:9", follows=3):
        undone = undo(home.stores, MODEL, "wrong")
        with pytest.raises(Failed, match=r"; route 4 stays in force \(v2 100 %\)$"):
            settle(home, undone, "other")
        assert home.route() == undone


# ---- under load -----------------------------------------------------------------------------


def test_undo_and_sharing_by_hand_cost_not_one_request(home: Home) -> None:
    twice(home)
    with serving(home) as served, load(served.url) as clients:
        for args in (
            ("undo", "--why", "there"),
            ("route", "--set", "v1=40,v2=60"),
            ("undo", "--why", "and back"),
        ):
            done = fairlead(home, args[0], MODEL, *args[1:])
            assert done.returncode == 0, done.stderr
            assert "to the last bit" in done.stderr
    assert _all_answered(clients)
    assert home.route().traffic == {"v1": 100}


def _all_answered(clients: Load) -> bool:
    return clients.total > 50 and not clients.failed and not clients.broken
