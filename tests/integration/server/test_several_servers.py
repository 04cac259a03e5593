"""A canary beside several servers: it is judged on what all of them have seen.

They are real `fairlead serve` processes on one ledger, as the replicas of a Deployment behind a
Service are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from fairlead.ledger.copying import copy_ledger
from fairlead.ledger.store import open_ledger
from fairlead.records import Deployment, Server
from fairlead.rollout.start import start_deployment
from fairlead.spec.document import Judge, Serve
from tests.integration.server.rig import (
    BEYOND,
    MODEL,
    Home,
    Served,
    failing_beyond,
    load,
    serving,
)
from tests.support.postgres import database
from tests.support.waiting import wait_until

REQUESTS = 30
ENOUGH = 20  # of a server alone, which is too few


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(
    request: pytest.FixtureRequest, home: Home, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Home]:
    """The home with its ledger in a file, or in a database on a server."""
    if request.param == "sqlite":
        yield home
        return
    with database(request.getfixturevalue("postgres")) as url:
        copy_ledger(home.path / "ledger.db", url, on_progress=lambda _: None)
        monkeypatch.setenv("FAIRLEAD_LEDGER", url)
        with open_ledger(url) as ledger:
            yield replace(home, ledger=ledger)


@contextlib.contextmanager
def two_servers(home: Home) -> Iterator[tuple[Served, Served]]:
    with serving(home) as first, serving(home) as second:
        yield first, second


def begin(home: Home, version: int, *steps: int, requests: int = REQUESTS) -> Deployment:
    settings = Serve(judge=Judge(hold=1.0, requests=requests))
    return start_deployment(home.stores, MODEL, version=version, steps=steps, serve=settings)


def parted(home: Home, servers: tuple[Served, Served]) -> tuple[Served, Served]:
    """The server that carries the deployment out, and the other one."""
    first, second = servers
    holder = wait_until(lambda: home.ledger.deployments.get(MODEL).server)
    url = next(one.url for one in home.ledger.servers.alive() if one.id == holder)
    return (first, second) if first.url == url else (second, first)


def is_observed_at_half(home: Home) -> bool:
    """Whether both servers count the requests of the step by now."""
    found = home.ledger.deployments.observations(home.ledger.deployments.get(MODEL))
    return home.route().traffic == {"v1": 50, "v2": 50} and len(found) == 2


def observed_by(home: Home, server: str | None) -> int:
    """Requests that the server says v2 has had in the present step."""
    found = home.ledger.deployments.observations(home.ledger.deployments.get(MODEL))
    return sum(one.revisions["v2"].asked for one in found if one.server == server)


def ask_until(served: Served, answers: int) -> None:
    """Ask one row after another until v2 has given so many of the answers."""
    found = 0
    for _ in range(40 * answers):
        status, answer = served.ask(5.0)
        assert status == 200
        found += answer["revision"] == "v2"
        if found == answers:
            return
    raise AssertionError(f"v2 gave {found} of {answers} answers")


def test_a_revision_that_fails_only_where_the_deployment_is_not_carried_out_is_taken_back(
    shared: Home,
) -> None:
    version = shared.version(failing_beyond())
    with two_servers(shared) as servers:
        deployment = begin(shared, version, 50, 100)
        holder, other = parted(shared, servers)
        with load(holder.url) as fine, load(other.url, number=BEYOND + 50) as failing:
            ended = shared.ended(deployment)
            wait_until(shared.followed)
            answered = failing.total
            wait_until(lambda: failing.total > answered + 50)
    assert ended.state == "undone"
    assert "requests failed, against 0 of" in ended.reason
    assert shared.revision("v2").reason == ended.reason
    assert dict(shared.route().traffic) == {"v1": 100}
    assert not fine.failed
    assert failing.failed.keys() == {(500, "v2")}
    assert not fine.broken
    assert not failing.broken


def test_a_step_has_enough_requests_where_each_server_alone_has_too_few(shared: Home) -> None:
    version = shared.good()
    with two_servers(shared) as servers:
        deployment = begin(shared, version, 50, 100)
        wait_until(lambda: is_observed_at_half(shared))
        holder, other = parted(shared, servers)
        ask_until(other, ENOUGH)
        wait_until(lambda: f"{ENOUGH} of {REQUESTS} requests so far" in shared.reason())
        ask_until(holder, ENOUGH)
        ended = shared.ended(deployment)
        assert (ended.state, ended.reason) == ("done", "")
        assert shared.ledger.deployments.observations(replace(deployment, step=0)) == []


def test_a_good_revision_goes_step_by_step_under_load_over_all_servers(shared: Home) -> None:
    version = shared.good()
    with two_servers(shared) as (first, second), load(first.url) as one, load(second.url) as two:
        deployment = begin(shared, version, 10, 50, 100, requests=100)
        ended = shared.ended(deployment)
        wait_until(shared.followed)
    assert (ended.state, ended.reason) == ("done", "")
    for clients in (one, two):
        assert not clients.failed
        assert not clients.broken
        assert clients.by("v2") > 0


def test_what_a_killed_server_saw_still_counts_for_the_one_that_takes_over(shared: Home) -> None:
    version = shared.good()
    with two_servers(shared) as servers:
        deployment = begin(shared, version, 50, 100)
        wait_until(lambda: is_observed_at_half(shared))
        holder, other = parted(shared, servers)
        held_by = shared.ledger.deployments.get(MODEL).server
        with load(other.url, clients=1, every=0.5) as clients:
            ask_until(holder, ENOUGH)
            wait_until(lambda: observed_by(shared, held_by) >= ENOUGH)
            holder.child.kill()
            wait_until(lambda: shared.ledger.deployments.get(MODEL).server not in {None, held_by})
            ended = shared.ended(deployment)
            wait_until(shared.followed)
            alone = clients.by("v2")
    assert (ended.state, ended.reason) == ("done", "")
    assert alone < REQUESTS
    assert not clients.failed
    assert not clients.broken


def test_a_replica_that_only_starts_holds_no_step_up_and_one_that_is_late_does(
    shared: Home,
) -> None:
    version, seen = shared.good(), shared.ledger.servers.seen
    with serving(shared) as served, load(served.url):
        route = wait_until(shared.followed) and shared.route().number
        other = Server(id="other", url="http://127.0.0.1:9", processes=1)
        seen(replace(other, routes={MODEL: route}), lease=600)
        deployment = begin(shared, version, 50, 100)
        wait_until(lambda: "waiting for servers to follow" in shared.reason())
        seen(other, lease=600)
        ended = shared.ended(deployment)
    assert (ended.state, ended.reason) == ("done", "")
