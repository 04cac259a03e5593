"""Whoever checks something and then writes what rests on it holds the lock of what it checked.

SQLite lets one transaction write at a time, so that no test on it can see a lock that is missing:
this one holds which change takes which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.ledger.database import Value
from fairlead.ledger.sqlite import SqliteDatabase
from fairlead.ledger.store import SqlLedger, bring_to_head
from fairlead.records import (
    Basis,
    Deployment,
    Judgement,
    NewTask,
    Promotion,
    Revision,
    Route,
    Study,
    Trial,
    Verdict,
    Version,
)

STUDY = Study(id="s" * 64, name="boston", spec="{}", table="7" * 64, size=10)
TASK = NewTask(kind="trials", trials=(Trial(number=0, family="f", params={}),))
VERSION = Version(model="m", number=0, study=STUDY.id, trial=0, size=1, manifest="b" * 64)
VERDICT = Verdict(
    decision="promote", text="", against="", metric="mse", rows=1, judged=1, candidate=0.0
)
JUDGEMENT = Judgement(model="m", version=1, champion=None, rows="r", verdict=VERDICT)
PROMOTION = Promotion(model="m", number=0, version=1, previous=None, kind="gate", why="")
ROUTE = Route(model="m", number=0, traffic={"v1": 100}, kind="set", why="", details="d" * 64)
DEPLOYMENT = Deployment(model="m", number=0, revision="v1", steps=(100,))


class Recording(SqliteDatabase):
    """Tells which locks were asked for."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.locks: list[str | None] = []

    def write(
        self, change: Callable[[sa.Connection], Value], *, lock: str | None = None, **how: Any
    ) -> Value:
        self.locks.append(lock)
        return super().write(change, lock=lock, **how)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Recording]:
    made = Recording(tmp_path / "ledger.db")
    yield made
    made.close()


@pytest.fixture
def ledger(database: Recording) -> SqlLedger:
    bring_to_head(database)
    made = SqlLedger(database)
    made.studies.open(STUDY)
    made.versions.register(VERSION)
    made.routes.revise(Revision(model="m", name="", version=1))
    return made


CHANGES: dict[str, tuple[str, Callable[[SqlLedger], object]]] = {
    "opening a study": (
        "study:new",
        lambda ledger: ledger.studies.open(Study(id="new", name="n", spec="", table="t", size=1)),
    ),
    "adding tasks": (f"study:{STUDY.id}", lambda ledger: ledger.tasks.add(STUDY.id, [TASK])),
    "withdrawing": (f"study:{STUDY.id}", lambda ledger: ledger.studies.withdraw(STUDY.id)),
    "finishing": (
        f"study:{STUDY.id}",
        lambda ledger: ledger.studies.finish(STUDY.id, of=10, size=10, best=None),
    ),
    "registering": ("model:m", lambda ledger: ledger.versions.register(VERSION, seen=0)),
    "judging": (
        "model:m",
        lambda ledger: ledger.versions.judge(JUDGEMENT, Basis(judgements=0, sample=b"")),
    ),
    "promoting": ("model:m", lambda ledger: ledger.versions.promote(PROMOTION)),
    "revising": (
        "model:m",
        lambda ledger: ledger.routes.revise(Revision(model="m", name="", version=1)),
    ),
    "marking": (
        "model:m",
        lambda ledger: ledger.routes.mark("m", "v1", "ready", "", was="loading"),
    ),
    "routing": ("model:m", lambda ledger: ledger.routes.change(ROUTE, previous=None)),
    "deploying": ("model:m", lambda ledger: ledger.deployments.begin(DEPLOYMENT)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_holds_the_lock_of_what_it_checks(
    database: Recording, ledger: SqlLedger, name: str
) -> None:
    lock, change = CHANGES[name]
    database.locks.clear()
    change(ledger)
    assert database.locks == [lock]


def test_a_ledger_is_made_under_one_lock(database: Recording) -> None:
    bring_to_head(database)
    assert database.locks == ["schema"]
