"""What calls cost as the ledger grows: counted in steps of SQLite's machine, not in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from fairlead.ledger import events, revisions, routes, versions
from fairlead.ledger.requests import OnceDatabase
from fairlead.ledger.sqlite import SqliteDatabase
from fairlead.ledger.store import SqlLedger, open_ledger
from fairlead.records import (
    Allowance,
    Deployment,
    Judgement,
    NewTask,
    Offer,
    Result,
    Revision,
    Route,
    Server,
    ServingEvent,
    Trial,
    Verdict,
    Version,
)
from tests.integration.ledger.processes import STUDY, add_trials, ledger_file

FEW, MANY = 100, 10_000
FEW_ROUTES, MANY_ROUTES = 10, 1000
SERVER = Server(id="one", url="u", processes=1)
VERDICT = Verdict(
    decision="keep", text="", against="", metric="mse", rows=1, judged=1, candidate=0.0
)
JUDGEMENT = Judgement(model="m", version=1, champion=None, rows="r", verdict=VERDICT)
ROUTE = Route(model="m", number=0, traffic={"v1": 100}, kind="set", why="", details="d" * 64)


def steps(ledger: SqlLedger, call: Callable[[SqlLedger], object]) -> int:
    """Steps of SQLite's virtual machine that the call takes."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    database = ledger._database
    assert isinstance(database, OnceDatabase)
    inner = database._database
    assert isinstance(inner, SqliteDatabase)
    pooled = inner._engine.raw_connection()
    connection = pooled.driver_connection
    assert connection is not None
    pooled.close()
    connection.set_progress_handler(count, 1)
    call(ledger)
    connection.set_progress_handler(None, 1)
    return counted


def filled(folder: Path, trials: int) -> SqlLedger:
    ledger = open_ledger(ledger_file(folder))
    add_trials(ledger, trials)
    for number in range(10):
        claim = ledger.tasks.claim(f"w{number}", lease=60)
        assert claim is not None
        if number % 2:
            ledger.tasks.commit(claim, [Result(number=number, state="done")])
    return ledger


def work(ledger: SqlLedger, study: str | None = None) -> None:
    claim = ledger.tasks.claim("w", lease=60, study=study)
    assert claim is not None
    ledger.tasks.heartbeat(claim, lease=60)
    ledger.tasks.commit(claim, [Result(number=claim.trials[0].number, state="done")])


def add_one(ledger: SqlLedger) -> None:
    task = NewTask(kind="trials", trials=(Trial(number=MANY + 1, family="f", params={}),))
    ledger.tasks.add(STUDY.id, [task])


CALLS: dict[str, Callable[[SqlLedger], object]] = {
    "claim, heartbeat and commit": work,
    "the same within one study": lambda ledger: work(ledger, STUDY.id),
    "a claim of nothing": lambda ledger: ledger.tasks.claim("w", lease=60, study="none"),
    "counts": lambda ledger: ledger.studies.counts(STUDY.id),
    "new results": lambda ledger: ledger.studies.results(STUDY.id, after=5),
    "open tasks": lambda ledger: ledger.tasks.open(),
    "the load for workers": lambda ledger: ledger.autoscaling.load(offer=Offer(packages={})),
    "what a refit came to": lambda ledger: ledger.tasks.refit(STUDY.id, 3),
    "adding a trial": add_one,
    "losing a worker": lambda ledger: ledger.tasks.lose("w2"),
    "opening a study again": lambda ledger: ledger.studies.open(STUDY),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_takes_as_many_steps_with_many_trials_as_with_few(tmp_path: Path, name: str) -> None:
    with filled(tmp_path / "few", FEW) as few, filled(tmp_path / "many", MANY) as many:
        assert 0 < steps(many, CALLS[name]) <= steps(few, CALLS[name]) + 10


def fill(connection: sa.Connection, count: int) -> None:
    for number in range(count // 10 + 1):
        asked = Revision(model="m", name="", version=1, allowance=Allowance(queue=number + 1))
        name = revisions.revise(connection, asked).name
        if number:
            row = revisions.row_of(connection, "m", name)
            revisions.enter(connection, row, "retired", "")
    for number in range(count):
        routes.append(connection, ROUTE, previous=number or None)
        events.append_serving(connection, ServingEvent(model="m", kind="routed", route=number))
        versions.judge(connection, JUDGEMENT)


def deployed(folder: Path, count: int) -> SqlLedger:
    """A ledger with so many routes, a tenth as many retired revisions, and one that comes in."""
    ledger = open_ledger(ledger_file(folder))
    model = Version(model="m", number=0, study="s", trial=0, size=1, manifest="a" * 64)
    ledger.versions.register(model)
    ledger._database.write(partial(fill, count=count))  # all in one: a commit each takes its time
    begin(ledger)
    ledger.deployments.take(SERVER.id, lease=3600)
    ledger.servers.seen(SERVER, lease=3600)
    return ledger


def begin(ledger: SqlLedger) -> None:
    ledger.deployments.begin(Deployment(model="m", number=0, revision="v1", steps=(100,)))


def change_the_last(ledger: SqlLedger) -> None:
    current = ledger.routes.current("m")
    assert current is not None
    ledger.routes.change(ROUTE, previous=current.number)


SERVING_CALLS: dict[str, Callable[[SqlLedger], object]] = {
    "routes in force": lambda ledger: ledger.routes.in_force(),
    "the current route": lambda ledger: ledger.routes.current("m"),
    "a route by its number": lambda ledger: ledger.routes.get("m", 3),
    "who asked for a deployment": lambda ledger: ledger.deployments.author("m", 1),
    "the last verdict": lambda ledger: ledger.versions.last_judgement("m", 1),
    "taking deployments": lambda ledger: ledger.deployments.take(SERVER.id, lease=3600),
    "the last deployment": lambda ledger: ledger.deployments.get("m"),
    "being seen": lambda ledger: ledger.servers.seen(SERVER, lease=3600),
    "servers": lambda ledger: ledger.servers.alive(),
    "changing a route": change_the_last,
    "beginning a deployment": begin,
    "marking a revision": lambda ledger: ledger.routes.mark(
        "m", "v1", "draining", "", was="serving"
    ),
}


@pytest.fixture(scope="module")
def few_and_many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SqlLedger, SqlLedger]]:
    folder = tmp_path_factory.mktemp("routed")
    with (
        deployed(folder / "few", FEW_ROUTES) as few,
        deployed(folder / "many", MANY_ROUTES) as many,
    ):
        yield few, many


@pytest.mark.parametrize("name", SERVING_CALLS)
def test_a_call_of_serving_takes_as_many_steps_after_many_routes_as_after_few(
    few_and_many: tuple[SqlLedger, SqlLedger], name: str
) -> None:
    few, many = few_and_many
    assert 0 < steps(many, SERVING_CALLS[name]) <= steps(few, SERVING_CALLS[name]) + 10


def test_listing_revisions_takes_a_glance_at_each_that_is_retired(
    few_and_many: tuple[SqlLedger, SqlLedger],
) -> None:
    few, many = few_and_many
    listed = many.routes.revisions(retired=False)
    assert [revision.name for revision in listed] == ["v1"]
    more = len(many.routes.revisions()) - len(few.routes.revisions())
    taken = [steps(each, lambda each: each.routes.revisions(retired=False)) for each in (few, many)]
    assert more > 0
    assert taken[1] - taken[0] < 10 * more
