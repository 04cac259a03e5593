"""Several programs change what is served, in one ledger file."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fairlead.ledger.store import SqlLedger, open_ledger
from fairlead.records import Allowance, Deployment, Revision, Route, Server, Version
from tests.integration.ledger.processes import (
    finished,
    ledger_file,
    python,
    start_together,
    wait_until,
    writing,
)

ROUTE = Route(model="m", number=0, traffic={"v1": 100}, kind="set", why="", details="d" * 64)

# Each tries to put its route after every one that it sees, until there are as many as wanted.
CHANGE = """
import sys
from fairlead.errors import Conflict
from fairlead.ledger.store import open_ledger
from fairlead.records import Route

won = lost = 0
with open_ledger(sys.argv[1]) as ledger:
    print("loaded", flush=True)
    sys.stdin.readline()
    while (current := ledger.routes.current("m")).number < int(sys.argv[3]):
        route = Route(
            model="m", number=0, traffic={"v1": 100}, kind="set", why=sys.argv[2], details="d" * 64
        )
        try:
            ledger.routes.change(route, previous=current.number)
            won += 1
        except Conflict:
            lost += 1
print(won, lost)
"""

TAKE = """
import sys
from fairlead.ledger.store import open_ledger

with open_ledger(sys.argv[1]) as ledger:
    print("loaded", flush=True)
    sys.stdin.readline()
    print(len(ledger.deployments.take(sys.argv[2], lease=float(sys.argv[3]))), flush=True)
    sys.stdin.readline()
"""

REVISE = """
import sys
from fairlead.ledger.store import open_ledger
from fairlead.records import Allowance, Revision

with open_ledger(sys.argv[1]) as ledger:
    print("loaded", flush=True)
    sys.stdin.readline()
    for queue in range(1, 21):
        revision = Revision(model="m", name="", version=1, allowance=Allowance(queue=queue))
        print(queue, ledger.routes.revise(revision).name)
"""

BEGIN = """
import sys
from fairlead.ledger.store import open_ledger
from fairlead.records import Deployment

with open_ledger(sys.argv[1]) as ledger:
    print("loaded", flush=True)
    sys.stdin.readline()
    for _ in range(20):
        deployment = Deployment(model="m", number=0, revision="v1", steps=(100,))
        print(ledger.deployments.begin(deployment).number)
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


def test_of_processes_that_change_a_route_at_once_one_wins_each_time(
    tmp_path: Path, ledger: SqlLedger
) -> None:
    ledger.routes.change(ROUTE, previous=None)
    names = ["one", "two", "three"]
    processes = [python(CHANGE, ledger_file(tmp_path), name, 100) for name in names]
    start_together(processes)
    figures = [tuple(map(int, finished(process).split())) for process in processes]
    history = ledger.routes.history("m")
    assert [route.number for route in history] == list(range(1, len(history) + 1))
    wins = Counter(route.why for route in history[1:])
    assert [wins[name] for name in names] == [won for won, _ in figures]
    assert sum(lost for _, lost in figures) > 0
    assert ledger.routes.current("m") == history[-1]
    routed = [event.route for event in ledger.routes.events("m") if event.kind == "routed"]
    assert routed == [route.number for route in history]


def test_of_processes_that_take_a_deployment_at_once_one_gets_it(
    tmp_path: Path, ledger: SqlLedger
) -> None:
    begin(ledger)
    processes = [python(TAKE, ledger_file(tmp_path), f"s{number}", 60) for number in range(4)]
    start_together(processes)
    taken = [finished(process).split()[-1] for process in processes]
    assert sorted(taken) == ["0", "0", "0", "1"]
    assert ledger.deployments.get("m").server == f"s{taken.index('1')}"


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


def test_processes_that_ask_for_the_same_revisions_at_once_get_the_same_names(
    tmp_path: Path, ledger: SqlLedger
) -> None:
    processes = [python(REVISE, ledger_file(tmp_path)) for _ in range(3)]
    start_together(processes)
    answers = {finished(process) for process in processes}
    assert len(answers) == 1
    names = [revision.name for revision in ledger.routes.revisions("m")]
    assert names == ["v1", *(f"v1-{number}" for number in range(2, 22)), "v2"]


def test_processes_that_deploy_at_once_leave_one_deployment_running(
    tmp_path: Path, ledger: SqlLedger
) -> None:
    processes = [python(BEGIN, ledger_file(tmp_path)) for _ in range(3)]
    start_together(processes)
    given = [int(line) for process in processes for line in finished(process).splitlines()]
    assert sorted(given) == list(range(1, 61))
    states = [ledger.deployments.get("m", number).state for number in range(1, 61)]
    assert Counter(states) == {"superseded": 59, "running": 1}
    assert states[-1] == "running"


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
