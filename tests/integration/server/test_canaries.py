"""Deployments, carried out by a real server under traffic."""

from __future__ import annotations

import math

import pytest

from fairlead.rollout.routes import undo
from tests.integration.server.rig import BEYOND, Home, adding, failing_beyond, load, serving, slow
from tests.support.waiting import wait_until

STEPS = (10, 50, 100)


def test_a_canary_goes_step_by_step_and_no_request_fails(home: Home) -> None:
    version = home.good()
    with serving(home) as served, load(served.url) as clients:
        ended = home.ended(home.deploy(version, *STEPS))
        wait_until(home.followed)
    assert (ended.state, ended.reason) == ("done", "")
    assert [dict(route.traffic) for route in home.ledger.routes.history("sums")] == [
        {"v1": 100},
        {"v1": 90, "v2": 10},
        {"v1": 50, "v2": 50},
        {"v2": 100},
    ]
    assert not clients.failed
    assert not clients.broken
    assert clients.by("v1") > clients.by("v2") * 0.2 > 0


def test_the_revision_that_was_replaced_retires(home: Home) -> None:
    with serving(home):
        assert home.ended(home.deploy(home.good())).state == "done"
        wait_until(lambda: home.revision("v1").state == "retired")
        assert home.revision("v2").state == "serving"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no model", "golden"),
        (adding(float("nan")), "nan"),
        (adding(1.0), "predicts"),
    ],
    ids=["no model", "predicts NaN", "predicts something else"],
)
def test_a_revision_that_does_not_pass_its_check_touches_no_traffic(
    home: Home, content: bytes, reason: str
) -> None:
    version = home.version(content)
    with serving(home) as served, load(served.url) as clients:
        ended = home.ended(home.deploy(version, *STEPS))
    assert ended.state == "failed"
    assert home.revision("v2").state == "failed"
    assert home.revision("v2").reason == ended.reason
    assert "v2" in ended.reason
    assert home.route().traffic == {"v1": 100}
    assert not clients.failed
    assert not clients.by("v2")


def test_a_revision_that_hangs_in_its_check_holds_up_nobody(home: Home) -> None:
    version = home.good()
    with serving(home) as served, load(served.url) as clients:
        deployment = home.deploy(version)
        checker = wait_until(served.checker)
        checker.suspend()
        before = clients.total
        wait_until(lambda: clients.total > before + 100)
        assert home.ledger.deployments.get("sums").state == "running"
        checker.kill()
        ended = home.ended(deployment)
    assert ended.state == "failed"
    assert "SIGKILL" in ended.reason
    assert not clients.failed


@pytest.mark.parametrize(
    ("content", "number", "reason"),
    [
        (failing_beyond(), BEYOND + 50, "failed"),
        (slow(), 5.0, "ms"),
        (adding(6.0), 5.0, "drift"),
    ],
    ids=["fails", "is slow", "predicts otherwise"],
)
def test_a_revision_that_is_worse_under_traffic_is_taken_back(
    home: Home, content: bytes, number: float, reason: str
) -> None:
    version = home.version(content, golden=6.0 if reason == "drift" else 0.0)
    with serving(home) as served, load(served.url, number=number) as clients:
        ended = home.ended(home.deploy(version, *STEPS))
        wait_until(home.followed)
        before = clients.by("v2")
        now = clients.total
        wait_until(lambda: clients.total > now + 50)
        assert clients.by("v2") <= before + 3  # those in hand
    assert ended.state == "undone"
    assert reason in ended.reason
    assert home.revision("v2").state == "failed"
    assert home.revision("v2").reason == ended.reason
    route = home.route()
    assert (dict(route.traffic), route.kind, route.why) == ({"v1": 100}, "undo", ended.reason)
    assert not clients.broken


def test_a_revision_that_refuses_what_clients_send_is_taken_back(home: Home) -> None:
    version = home.version(adding(0.0), column="amount")
    with serving(home) as served, load(served.url) as clients:
        ended = home.ended(home.deploy(version, *STEPS))
        wait_until(home.followed)
    assert ended.state == "undone"
    assert "requests were refused (4xx), against" in ended.reason
    assert home.route().traffic == {"v1": 100}
    assert clients.failed.keys() == {(400, "v2")}


def test_a_client_that_names_the_new_revision_and_sends_rubbish_does_not_take_it_back(
    home: Home,
) -> None:
    with (
        serving(home) as served,
        load(served.url, number=math.nan, revision="v2") as rubbish,
        load(served.url) as clients,
    ):
        deployment = home.deploy(home.good(), *STEPS)
        ended = home.ended(deployment)
    assert (ended.state, ended.reason) == ("done", "")
    assert rubbish.failed[400, "v2"] > 20
    assert not clients.failed


def test_a_step_without_traffic_waits_and_says_for_what(home: Home) -> None:
    with serving(home):
        home.deploy(home.good(), *STEPS)
        wait_until(lambda: "of 20 requests" in home.reason())
        assert home.route().traffic == {"v1": 90, "v2": 10}


def test_an_undo_by_a_person_ends_the_deployment(home: Home) -> None:
    with serving(home) as served:
        deployment = home.deploy(home.good(), *STEPS)
        wait_until(lambda: home.route().traffic == {"v1": 90, "v2": 10})
        undo(home.stores, "sums", "not today")
        assert home.ended(deployment).state == "undone"
        wait_until(home.followed)
        wait_until(lambda: home.revision("v2").state == "retired")
        assert {served.ask()[1]["revision"] for _ in range(20)} == {"v1"}


def test_a_newer_deployment_that_fails_leaves_no_step_of_the_one_before(home: Home) -> None:
    with serving(home):
        home.deploy(home.good(), *STEPS)
        wait_until(lambda: home.route().traffic == {"v1": 90, "v2": 10})
        assert home.ended(home.deploy(home.version(b"no model"), *STEPS)).state == "undone"
    assert home.route().traffic == {"v1": 100}
    assert home.revision("v3").state == "failed"


def test_a_newer_deployment_takes_the_place_of_one_that_runs(home: Home) -> None:
    with serving(home):
        first = home.deploy(home.good(1), *STEPS)
        wait_until(lambda: home.route().traffic == {"v1": 90, "v2": 10})
        second = home.deploy(home.good(2), *STEPS)
        assert home.ended(first).state == "superseded"
        wait_until(lambda: home.route().traffic == {"v1": 90, "v3": 10})
        wait_until(lambda: home.revision("v2").state == "retired")
        undo(home.stores, "sums", "enough")
        assert home.ended(second).state == "undone"
        assert home.route().traffic == {"v1": 100}
