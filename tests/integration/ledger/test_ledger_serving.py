"""Several programs change what is served, in one ledger file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fairlead.ledger.store import SqlLedger, open_ledger
from fairlead.records import Allowance, Deployment, Revision, Route, Server, Version
from tests.integration.ledger.processes import (
    ledger_file,
    python,
    start_together,
    writing,
)
from tests.support.waiting import wait_until

ROUTE = Route(model="m", number=0, traffic={"v1": 100}, kind="set", why="", details="d" * 64)

TAKE = """
import sys
from fairlead.ledger.store import open_ledger

with open_ledger(sys.argv[1]) as ledger:
    print("loaded", flush=True)
    sys.stdin.readline()
    print(len(ledger.deployments.take(sys.argv[2], lease=float(sys.argv[3]))), flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqlLedger]:
    with open_ledger(ledger_file(tmp_path)) as opened:
        for manifest in "ab":
            opened.versions.register(
                Version(model="m", number=0, study="s", trial=0, size=1, manifest=manifest * 64)
            )
            opened.routes.revise(Revision(model="m", name="", version=len(opened.versions.all())))
        yield opened


def begin(ledger: SqlLedger, revision: str = "v1") -> Deployment:
    return ledger.deployments.begin(
        Deployment(model="m", number=0, revision=revision, steps=(10, 100))
    )


def test_the_deployment_of_a_server_that_was_killed_is_taken_after_its_lease(
    tmp_path: Path, ledger: SqlLedger
) -> None:
    begun = begin(ledger)
    holder = python(TAKE, ledger_file(tmp_path), "killed", 0.5)
    start_together([holder])
    assert holder.stdout is not None
    assert holder.stdout.readline() == "1\n"
    holder.kill()
    holder.communicate()
    wait_until(lambda: bool(ledger.deployments.take("other", lease=60)))
    assert ledger.deployments.get("m") == replace(begun, server="other")
    kinds = [(event.kind, event.text) for event in ledger.routes.events("m")][-2:]
    assert kinds == [("taken", "killed"), ("taken", "other")]


def test_what_is_asked_often_does_not_wait_for_a_writer(tmp_path: Path, ledger: SqlLedger) -> None:
    ledger.routes.change(ROUTE, previous=None)
    begun = begin(ledger)
    server = Server(id="one", url="u", processes=1, routes={"m": 1})
    ledger.servers.seen(server, lease=60)
    held = ledger.deployments.take("one", lease=60)
    with writing(ledger_file(tmp_path)):
        assert ledger.deployments.take("one", lease=60) == held
        assert ledger.deployments.take("two", lease=60) == []
        assert ledger.deployments.advance(begun) == held[0]
        ledger.servers.seen(server, lease=60)
        assert [route.number for route in ledger.routes.in_force()] == [1]


def test_an_allowance_of_an_older_fairlead_is_the_same_with_its_defaults(
    tmp_path: Path, ledger: SqlLedger
) -> None:
    allowance = Allowance(queue=5)
    wanted = Revision(model="m", name="", version=1, allowance=allowance)
    first = ledger.routes.revise(wanted)
    with sqlite3.connect(ledger_file(tmp_path)) as connection:
        connection.execute(
            """UPDATE revisions SET allowance = '{"queue": 5}' WHERE name = 'v1-2'"""
        )
    connection.close()
    assert ledger.routes.revise(wanted) == first


def test_servers_that_were_killed_do_not_pile_up(tmp_path: Path, ledger: SqlLedger) -> None:
    for number in range(5):
        ledger.servers.seen(Server(id=f"s{number}", url="u", processes=1), lease=0.001)
        ended = time.monotonic() + 0.002
        wait_until(lambda ended=ended: time.monotonic() > ended)
    ledger.servers.seen(Server(id="last", url="u", processes=1), lease=60)
    connection = sqlite3.connect(ledger_file(tmp_path))
    kept = connection.execute("SELECT id FROM servers").fetchall()
    connection.close()
    assert kept == [("last",)]
