"""Models that nobody is to answer for, and a server that knows it."""

from __future__ import annotations

import contextlib
import http.client
import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from fairlead.records import Route
from fairlead.rollout.routes import put_in_force, undeploy, undo
from tests.integration.server.rig import MODEL, Home, Served, load, serving, started
from tests.support.waiting import wait_until


def page(served: Served, path: str) -> tuple[int, Any]:
    parts = urlsplit(served.url)
    client = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    with contextlib.closing(client):
        client.request("GET", path)
        answer = client.getresponse()
        return answer.status, json.load(answer)


def out_of_service(home: Home, why: str = "nobody asks") -> Route:
    return undeploy(home.stores, MODEL, why)


def first(home: Home) -> None:
    """The champion is live, and its deployment is over."""
    deployment = wait_until(lambda: home.ledger.deployments.get(MODEL))
    assert home.ended(deployment).state == "done"


def test_requests_for_a_model_that_is_out_of_service_are_answered_503_and_no_others_fail(
    home: Home,
) -> None:
    with serving(home) as served:
        first(home)
        with load(served.url) as clients:
            wait_until(lambda: clients.by("v1") > 50)
            out_of_service(home)
            wait_until(home.followed)
            wait_until(lambda: clients.answers[503, ""] > 50)
            undo(home.stores, MODEL, "somebody does")
            wait_until(home.followed)
            before = clients.by("v1")
            wait_until(lambda: clients.by("v1") > before + 50)
    assert clients.answers.keys() == {(200, "v1"), (503, "")}
    assert not clients.broken


def test_what_is_out_of_service_says_so_wherever_it_is_asked(home: Home) -> None:
    with serving(home) as served:
        first(home)
        out_of_service(home, "nobody\nasks")
        wait_until(home.followed)
        status, answer = served.ask()
        assert status == 503
        assert answer["error"].startswith("model 'sums' is out of service since 20")
        assert answer["error"].endswith("Z: nobody asks")
        assert served.ask(revision="v1")[0] == 503
        not_ready = {"ready": False, "name": MODEL, "why": answer["error"]}
        assert page(served, f"/v2/models/{MODEL}/ready") == (503, not_ready)
        assert page(served, f"/v2/models/{MODEL}")[0] == 503
        assert page(served, "/")[1]["models"][MODEL] == {"route": 2, "traffic": {}, "ready": False}
        assert page(served, "/openapi.json")[0] == 200
        assert page(served, "/readyz")[0] == 200
        assert served.said("sums: out of service (route 2)")
        wait_until(lambda: home.revision("v1").state == "retired")


def test_a_deployment_that_runs_is_superseded(home: Home) -> None:
    with serving(home):
        first(home)
        deployment = home.deploy(home.good(), 10, 100)
        wait_until(lambda: home.route().traffic == {"v1": 90, "v2": 10})
        out_of_service(home)
        ended = home.ended(deployment)
        assert (ended.state, ended.reason) == ("superseded", "route 3: nobody asks")
        wait_until(home.followed)
        assert undo(home.stores, MODEL, "not all of it").traffic == {"v1": 100}


def test_the_next_deployment_begins_as_if_it_were_the_first(home: Home) -> None:
    with serving(home) as served:
        first(home)
        out_of_service(home)
        wait_until(home.followed)
        with load(served.url) as clients:
            deployment = home.deploy(home.good(), 10, 50, 100)
            assert deployment.steps == (100,)
            assert home.ended(deployment).state == "done"
            wait_until(lambda: clients.by("v2") > 50)
        assert clients.answers.keys() == {(503, ""), (200, "v2")}
        assert not clients.broken
        assert undo(home.stores, MODEL, "not yet").traffic == {}


def test_a_server_that_starts_says_what_is_out_of_service_and_serves_it_later(home: Home) -> None:
    with serving(home):
        first(home)
    out_of_service(home)
    with started(home, MODEL) as served:
        wait_until(lambda: served.said("sums is out of service since 20"))
        wait_until(home.followed)
        assert served.ask()[0] == 503
        assert served.status("/livez") == 200
        home.deploy(1)
        wait_until(served.answers)
        wait_until(lambda: served.said("curl -sS"))


@pytest.mark.parametrize("by", ["a server", "a person"])
def test_a_first_deployment_that_is_taken_back_leaves_the_model_out_of_service(
    home: Home, by: str
) -> None:
    deployment = home.deploy(1)
    home.ledger.routes.mark(MODEL, "v1", "ready", "proved", was="loading")
    routed = Route(
        model=MODEL, number=0, traffic={"v1": 100}, kind="deploy", why="the first", details=""
    )
    stepped = replace(deployment, step=0)
    put_in_force(home.stores, routed, previous=None, deployment=stepped)
    if by == "a server":
        home.ledger.routes.mark(MODEL, "v1", "failed", "row 3 is wrong", was="serving")
        with started(home) as served:
            ended = home.ended(deployment)
            wait_until(home.followed)
            assert "out of service" in served.ask()[1]["error"]
    else:
        undo(home.stores, MODEL, "row 3 is wrong")
        ended = home.ended(deployment)
    assert (ended.state, ended.reason) == ("undone", "row 3 is wrong")
    route = home.route()
    assert (dict(route.traffic), route.kind, route.why) == ({}, "undo", "row 3 is wrong")
    details = json.loads(home.artifacts.get(route.details))
    assert (details["revision"], details["version"], details["traffic"]) == (None, None, [])
    assert details["why"] == "row 3 is wrong"
    assert details["previous"]["revision"] == "v1"
