"""What calls cost as the ledger grows: counted in steps of SQLite's machine, not in seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fairlead.ledger.sql import SqlLedger, open_ledger
from fairlead.records import NewTask, Result, Trial
from tests.integration.ledger.processes import STUDY, add_trials, ledger_file

FEW, MANY = 100, 10_000


def steps(ledger: SqlLedger, call: Callable[[SqlLedger], object]) -> int:
    """Steps of SQLite's virtual machine that the call takes."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    pooled = ledger._database._engine.raw_connection()
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
    "what a refit came to": lambda ledger: ledger.tasks.refit(STUDY.id, 3),
    "adding a trial": add_one,
    "losing a worker": lambda ledger: ledger.tasks.lose("w2"),
    "opening a study again": lambda ledger: ledger.studies.open(STUDY),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_takes_as_many_steps_with_many_trials_as_with_few(tmp_path: Path, name: str) -> None:
    with filled(tmp_path / "few", FEW) as few, filled(tmp_path / "many", MANY) as many:
        assert 0 < steps(many, CALLS[name]) <= steps(few, CALLS[name]) + 10
