"""Tasks as they should not be: one of them does not keep the others from being claimed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from fairlead.ledger.interface import MAX_LOST
from fairlead.ledger.schema import tasks
from fairlead.ledger.store import SqlLedger, open_ledger
from fairlead.records import Counts, Result, Trial
from tests.integration.ledger.processes import STUDY, add_trials, ledger_file

Break = Callable[[SqlLedger, int], object]


def change(ledger: SqlLedger, task: int, **values: object) -> None:
    statement = tasks.update().where(tasks.c.id == task).values(**values)
    ledger._database.write(lambda connection: connection.execute(statement))


def give_a_trial_that_has_a_result(ledger: SqlLedger, task: int) -> None:
    change(ledger, task, trials=(Trial(number=1, family="f", params={}),))


def take_the_trials(ledger: SqlLedger, task: int) -> None:
    change(ledger, task, trials=())


@pytest.mark.parametrize("broken", [give_a_trial_that_has_a_result, take_the_trials])
def test_a_broken_task_is_given_up_and_the_others_go_on(tmp_path: Path, broken: Break) -> None:
    with open_ledger(ledger_file(tmp_path)) as ledger:
        add_trials(ledger, 3)
        bad = ledger.tasks.claim("dead", lease=60)
        good = ledger.tasks.claim("w", lease=60)
        assert bad is not None
        assert good is not None
        ledger.tasks.commit(good, [Result(number=1, state="done")])
        broken(ledger, bad.task)
        ended = {"lost": MAX_LOST - 1, "lease_ends": 0.0}
        change(ledger, bad.task, **ended)
        following = ledger.tasks.claim("w", lease=60)
        assert following is not None
        assert following.trials[0].number == 2
        assert ledger.studies.counts(STUDY.id) == Counts(running=1, done=1)
        reason = sa.select(tasks.c.state, tasks.c.reason).where(tasks.c.id == bad.task)
        state, why = ledger._database.read(lambda connection: connection.execute(reason).one())
        assert state == "failed"
        assert "workers lost" in why
