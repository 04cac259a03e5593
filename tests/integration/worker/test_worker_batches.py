"""Short tasks are claimed and committed several at a time, and each is an attempt of its own."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from fairlead.artifacts import Artifacts
from fairlead.ledger.interface import MAX_AT_ONCE, MAX_FAULTS, MAX_LOST
from fairlead.ledger.store import SqlLedger, open_ledger
from fairlead.ledger.tasks import SqlTasks
from fairlead.records import Claim, Completed, Event, NewTask, Result, Study, Trial
from fairlead.settings import Settings
from fairlead.spec.load import load
from fairlead.study import plan as plans
from fairlead.worker import decide
from fairlead.worker.loop import Worker

FAMILY = """
import os, signal, time
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

class Odd(RegressorMixin, BaseEstimator):
    def __init__(self, x=0, does=""):
        self.x, self.does = x, does

    def fit(self, X, y):
        if self.does == "raises":
            raise ValueError("out of luck")
        if self.does == "sleeps":
            time.sleep(0.5)
        if self.does == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        self.mean_ = float(np.mean(y)) + self.x + np.random.random()
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)
"""
SPEC = """
name: odd
data: {source: diabetes}
search:
  method: random
  folds: 2
  trials: 100
  over: [{family: "./odd.py:Odd", params: {x: {low: 0, high: 200}, does: [""]}}]
promote: {when: never}
"""
TRIALS, ODD = 100, 20


class UntilNothingIsLeft(SqlTasks):
    """Tasks whose worker stops once it finds none."""

    worker: Worker

    def claim(self, worker: str, **how: Any) -> Claim | None:
        found = super().claim(worker, **how)
        if found is None:
            self.worker.stop.ask()
        return found


@dataclass
class Shop:
    """A study with one task that may be odd, and a worker for it."""

    ledger: SqlLedger
    study: Study
    worker: Worker
    noted: list[str]

    def work(self, tasks: type[UntilNothingIsLeft] = UntilNothingIsLeft) -> None:
        made = tasks(self.ledger._database)
        made.worker, self.ledger.tasks = self.worker, made
        self.worker.run()

    def results(self) -> dict[int, Result]:
        found, _ = self.ledger.studies.results(self.study.id)
        assert len(found) == len({result.number for result in found})
        return {result.number: result for result in found}

    def events(self, kind: str) -> list[Event]:
        return [one for one in self.ledger.studies.events(self.study.id) if one.kind == kind]

    def others(self) -> Counter[tuple[str, int]]:
        """State and attempts of all trials but the odd one."""
        return Counter(
            (one.state, one.attempts) for one in self.results().values() if one.number != ODD
        )

    def largest_batch(self) -> int:
        return max(Counter(event.at for event in self.events("claimed")).values())


Make = Callable[..., Shop]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with ExitStack() as opened:

        def make(does: str = "", *, home: str = "home") -> Shop:
            (tmp_path / "odd.py").write_text(FAMILY)
            (tmp_path / "odd.yaml").write_text(SPEC)
            loaded = load(tmp_path / "odd.yaml", sets=())
            settings = Settings(home=tmp_path / home)
            plan = plans.make(loaded.spec, base=loaded.base, settings=settings)
            ledger = opened.enter_context(open_ledger(settings.ledger_url))
            study = plans.keep(plan, ledger, Artifacts(settings.artifacts_url), fresh=False)
            ledger.tasks.add(study.id, [_task(n, does if n == ODD else "") for n in range(TRIALS)])
            noted: list[str] = []
            worker = Worker(
                name="w",
                ledger=ledger,
                artifacts=settings.artifacts_url,
                cache=settings.artifacts_cache,
                lease=60.0,
                study=study.id,
                note=noted.append,
            )
            return Shop(ledger, study, worker, noted)

        yield make


def _task(number: int, does: str) -> NewTask:
    trial = Trial(number=number, family="./odd.py:Odd", params={"x": number, "does": does})
    return NewTask(kind="trials", trials=(trial,))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every task is short enough for a batch, however slow the machine is."""
    monkeypatch.setattr(decide, "_BATCH", 60.0)
    monkeypatch.setattr(decide, "_BATCH_MOST", 60.0)


@pytest.mark.usefixtures("patient")
def test_results_are_the_same_however_many_tasks_are_claimed_together(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = make()
    together.work()
    monkeypatch.setattr(decide, "_BATCH", 0.0)
    alone = make(home="alone")
    alone.work()
    assert (together.largest_batch(), alone.largest_batch()) == (MAX_AT_ONCE, 1)
    first, second = (
        {number: replace(one, seconds=0.0) for number, one in shop.results().items()}
        for shop in (together, alone)
    )
    assert first == second
    assert len(first) == TRIALS
    assert all(one.attempts == 1 for one in first.values())
    assert len(together.events("committed")) == TRIALS


@pytest.mark.usefixtures("patient")
def test_a_trial_that_fails_costs_the_others_of_its_batch_nothing(make: Make) -> None:
    shop = make("raises")
    shop.work()
    odd = shop.results()[ODD]
    assert (odd.state, odd.attempts) == ("failed", MAX_FAULTS)
    assert "out of luck" in (odd.reason or "")
    assert shop.others() == {("done", 1): TRIALS - 1}
    assert shop.largest_batch() == MAX_AT_ONCE


@pytest.mark.usefixtures("patient")
def test_a_child_that_is_killed_loses_the_task_in_hand_alone(make: Make) -> None:
    shop = make("is killed")
    shop.work()
    assert {event.task for event in shop.events("lost")} == {ODD + 1}
    assert len(shop.events("lost")) == MAX_LOST
    assert shop.results()[ODD].state == "failed"
    others = shop.others()
    assert {state for state, _ in others} == {"done"}
    assert max(attempts for _, attempts in others) <= 2  # given back once
    assert {event.text for event in shop.events("released")} <= {decide.KILLED}


def test_a_task_that_takes_long_holds_up_none_of_its_batch(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "_BATCH", 60.0)
    shop = make("sleeps")
    shop.work()
    assert {one.state for one in shop.results().values()} == {"done"}
    claimed = {event.task: event.at for event in shop.events("claimed")}
    committed = {event.task: event.at for event in shop.events("committed")}
    long = ODD + 1
    assert committed[long] - claimed[long] >= 1.0
    before = [task for task, at in committed.items() if task < long]
    assert all(committed[task] < committed[long] for task in before)
    given_back = shop.events("released")
    assert {event.text for event in given_back} <= {decide.TAKES_LONG}
    assert all(event.at < committed[long] for event in given_back if claimed[long] < event.at)


class LosesOne(UntilNothingIsLeft):
    """Tasks of which another worker takes one, once, before it is committed."""

    taken: Claim | None = None

    def commit_and_claim(self, completed: Sequence[Completed], **how: Any) -> Sequence[Claim]:
        if self.taken is None and len(completed) > 1:
            self.heartbeat(completed[1].claim, lease=0.001)
            time.sleep(0.01)
            self.taken = self.claim("another", lease=60.0)
        return super().commit_and_claim(completed, **how)


@pytest.mark.usefixtures("patient")
def test_a_lease_that_was_lost_costs_the_others_of_its_batch_nothing(make: Make) -> None:
    shop = make()
    shop.work(LosesOne)
    running = shop.ledger.tasks.running()
    assert [one.worker for one in running] == ["another"]
    assert [line.split(":")[1] for line in shop.noted] == [" lease lost; result discarded"]
    assert {*range(TRIALS)} - {*shop.results()} == {*running[0].trials}


@pytest.mark.usefixtures("patient")
def test_a_worker_told_to_stop_commits_what_is_done_and_gives_back_the_rest(make: Make) -> None:
    shop = make()
    done: list[str] = []

    def tell(line: str) -> None:
        if ": done in" in line:
            done.append(line)
            if len(done) == 10:
                shop.worker.stop.ask()

    shop.worker.tell = tell
    shop.work()
    counts = shop.ledger.studies.counts(shop.study.id)
    assert (counts.done, counts.running) == (10, 0)
    assert {event.text for event in shop.events("released")} == {decide.STOPPED}
