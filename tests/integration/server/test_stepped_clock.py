"""The clock of the machine steps by an hour while a canary runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.clock import Clock
from tests.integration.server.rig import Home, Load, load, serving, started
from tests.support.waiting import wait_until


def seen(home: Home, clock: Clock) -> Any:
    """What `fairlead route` says, by the same clock."""
    command = [sys.executable, "-m", "fairlead", "--home", str(home.path), "route", "sums"]
    done = subprocess.run(
        [*command, "--json"],
        env={**os.environ, **clock.environment},
        capture_output=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def follows(home: Home, clock: Clock) -> bool:
    """Whether one server is known, as alive, and follows the route in force."""
    told = seen(home, clock)
    routes = [server["routes"].get("sums") for server in told["servers"]]
    return bool(routes == [told["route"]["number"]])


def perfect(clients: Load) -> bool:
    return bool(clients.total) and not clients.failed and not clients.broken


@pytest.mark.parametrize("hours", [-1, pytest.param(1, marks=pytest.mark.long)])
def test_a_canary_ends_as_it_should_over_a_step_of_the_clock(
    home: Home, tmp_path: Path, hours: int
) -> None:
    clock = Clock(tmp_path)
    version = home.good()
    with serving(home, **clock.environment) as served, load(served.url) as clients:
        before = [one.pid for one in served.processes()]
        deployment = home.deploy(version, 10, 50, 100)
        wait_until(lambda: home.route().traffic == {"v1": 90, "v2": 10})
        clock.step(timedelta(hours=hours))
        ended = home.ended(deployment)
        wait_until(lambda: follows(home, clock))
        wait_until(lambda: home.revision("v1").state == "retired")
        assert [one.pid for one in served.processes()] == before
    assert (ended.state, ended.reason) == ("done", "")
    assert home.route().traffic == {"v2": 100}
    assert perfect(clients)
    changed = [route.at for route in home.ledger.routes.history("sums")]
    assert (changed[-1] - changed[0]) / 3600 == pytest.approx(hours, abs=0.1)


@pytest.mark.parametrize("hours", [pytest.param(-1, marks=pytest.mark.long), 1])
def test_another_server_takes_over_from_a_dead_one_over_a_step_of_the_clock(
    home: Home, tmp_path: Path, hours: int
) -> None:
    clock = Clock(tmp_path)
    version = home.good()
    with serving(home, **clock.environment) as first:
        deployment = home.deploy(version, 10, 100)
        wait_until(lambda: home.route().traffic == {"v1": 90, "v2": 10})
        first.end(signal.SIGKILL)
    clock.step(timedelta(hours=hours))
    with started(home, **clock.environment) as second, load(second.url) as clients:
        assert home.ended(deployment).state == "done"
        wait_until(lambda: follows(home, clock))
    assert home.route().traffic == {"v2": 100}
    assert not clients.broken
