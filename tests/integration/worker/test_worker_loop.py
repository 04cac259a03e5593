"""A worker with a real ledger and a real child, in the process of the test."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa

from fairlead.artifacts import Artifacts
from fairlead.errors import Failed, Unreachable
from fairlead.ledger.schema import studies
from fairlead.ledger.store import SqlLedger, open_ledger
from fairlead.ledger.tasks import SqlTasks
from fairlead.machine import installed_packages, usable_memory
from fairlead.records import Claim, Completed, Counts, FleetWorker, NewTask, Offer, Study, Trial
from fairlead.settings import Settings
from fairlead.spec.load import load
from fairlead.study import plan as plans
from fairlead.worker import loop
from fairlead.worker.loop import Worker

SPEC = """
name: ridge
data: {source: diabetes}
search:
  method: random
  folds: 2
  trials: 5
  over: [{family: sklearn.linear_model:Ridge, params: {alpha: {low: 0.1, high: 9.0}}}]
promote: {when: never}
"""


@dataclass
class Shop:
    """A study with three tasks, and a worker for it."""

    ledger: SqlLedger
    study: Study
    worker: Worker

    def history(self) -> list[tuple[str, int | None]]:
        events = self.ledger.studies.events(self.study.id)
        return [(event.kind, event.task) for event in events if event.task is not None]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with made_shop(tmp_path) as made:
        yield made


@contextmanager
def made_shop(tmp_path: Path, *, artifacts: str = "") -> Iterator[Shop]:
    (tmp_path / "ridge.yaml").write_text(SPEC)
    loaded = load(tmp_path / "ridge.yaml", sets=())
    settings = Settings(home=tmp_path / "home", artifacts=artifacts)
    plan = plans.make(loaded.spec, base=loaded.base, settings=settings)
    with open_ledger(settings.ledger_url) as ledger:
        study = plans.keep(plan, ledger, Artifacts(settings.artifacts_url), fresh=False)
        trials = [
            Trial(number=number, family="sklearn.linear_model:Ridge", params={"alpha": 1.0})
            for number in range(3)
        ]
        ledger.tasks.add(study.id, [NewTask(kind="trials", trials=(trial,)) for trial in trials])
        worker = Worker(
            name="w",
            ledger=ledger,
            artifacts=settings.artifacts_url,
            cache=settings.artifacts_cache,
            lease=60.0,
            study=study.id,
        )
        yield Shop(ledger, study, worker)


class StopsAt(SqlTasks):
    """Tasks that have their worker told to stop in the moment in which it takes its next one."""

    worker: Worker

    def commit_and_claim(self, completed: Sequence[Completed], **how: Any) -> Sequence[Claim]:
        following = super().commit_and_claim(completed, **how)
        self.worker.stop.ask()
        return following


def test_a_worker_told_to_stop_while_it_takes_its_next_task_gives_that_back(shop: Shop) -> None:
    tasks = StopsAt(shop.ledger._database)
    tasks.worker, shop.ledger.tasks = shop.worker, tasks
    shop.worker.run()
    assert shop.history() == [("claimed", 1), ("committed", 1), ("claimed", 2), ("released", 2)]
    counts = shop.ledger.studies.counts(shop.study.id)
    assert (counts.ready, counts.running, counts.done) == (2, 0, 1)


class FailsOnce(SqlTasks):
    """Tasks whose first commit fails as no ledger should, and whose worker stops with the last."""

    worker: Worker
    failed: bool = False

    def claim(self, worker: str, **how: Any) -> Claim | None:
        found = super().claim(worker, **how)
        if found is None:
            self.worker.stop.ask()
        return found

    def commit_and_claim(self, completed: Sequence[Completed], **how: Any) -> Sequence[Claim]:
        if not self.failed:
            self.failed = True
            raise Failed("the server had a fault", code="internal")
        return super().commit_and_claim(completed, **how)


def test_a_fault_that_nobody_foresaw_costs_an_attempt_and_no_worker(shop: Shop) -> None:
    """Of the ledger, and of a study whose spec cannot be read."""
    junk = replace(shop.study, id="f" * 64, name="junk")
    shop.ledger.studies.open(junk)
    trial = Trial(number=0, family="sklearn.linear_model:Ridge", params={})
    shop.ledger.tasks.add(junk.id, [NewTask(kind="trials", trials=(trial,))])
    broken = sa.update(studies).where(studies.c.id == junk.id).values(spec="{")
    shop.ledger._database.write(lambda connection: connection.execute(broken))
    said: list[str] = []
    tasks = FailsOnce(shop.ledger._database)
    tasks.worker, shop.ledger.tasks = shop.worker, tasks
    shop.worker.study, shop.worker.note = None, said.append
    shop.worker.run()
    counts = shop.ledger.studies.counts(shop.study.id)
    assert (counts.done, counts.failed) == (3, 0)
    assert Counter(kind for kind, _ in shop.history())["faulted"] == 1
    assert any("the server had a fault" in line for line in said)
    [row] = shop.ledger.studies.trials(junk.id)
    assert row.result is not None
    assert "its spec cannot be read: JSONDecodeError" in (row.result.reason or "")


def test_trials_wait_for_a_store_that_is_away_and_none_of_them_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, aside = tmp_path / "store", tmp_path / "aside"
    with made_shop(tmp_path, artifacts=f"local://{store}") as shop:
        monkeypatch.setattr(loop, "_AWAY", 0.05)
        store.rename(aside)
        store.write_text("a file, in which nothing can be")
        noted: list[str] = []

        def note(line: str) -> None:
            noted.append(line)
            if len(noted) == 4:  # more than the faults that a task may have
                store.unlink()
                aside.rename(store)

        class Ends(SqlTasks):
            def claim(self, *args: Any, **given: Any) -> Claim | None:
                if (found := super().claim(*args, **given)) is None:
                    shop.worker.stop.ask()
                return found

        shop.ledger.tasks, shop.worker.note = Ends(shop.ledger._database), note
        shop.worker.run()
        counts = shop.ledger.studies.counts(shop.study.id)
    assert all("see that the server answers" in line for line in noted)
    assert len(noted) == 4
    assert (counts.done, counts.failed) == (3, 0)


class Late(SqlTasks):
    """Tasks whose first result comes after its lease was ended and another has the task."""

    late = True

    def commit_and_claim(self, completed: Sequence[Completed], **how: Any) -> Sequence[Claim]:
        if self.late:
            self.late = False
            self.lose(completed[0].claim.worker)
            assert self.claim("holder", lease=how["lease"]) is not None
        following = super().commit_and_claim(completed, **how)
        if not following:
            self.worker.stop.ask()
        return following

    worker: Worker


def test_a_worker_that_lost_its_task_throws_the_result_away_and_goes_on(shop: Shop) -> None:
    noted: list[str] = []
    tasks = Late(shop.ledger._database)
    tasks.worker, shop.ledger.tasks, shop.worker.note = shop.worker, tasks, noted.append
    shop.worker.run()
    assert noted == ["task 1 attempt 1: lease lost; result discarded"]
    done = [task for kind, task in shop.history() if kind == "committed"]
    assert done == [2, 3]
    assert shop.ledger.studies.counts(shop.study.id).running == 1


def test_the_child_of_a_study_is_ready_before_a_task_is_held(shop: Shop) -> None:
    looked: list[tuple[str | None, int]] = []

    class Looks(SqlTasks):
        def claim(self, worker: str, *, lease: float, **how: Any) -> Claim | None:
            child = shop.worker._child
            looked.append((child.has_open if child else None, self.open(shop.study.id)))
            shop.worker.stop.ask()
            return super().claim(worker, lease=lease, **how)

    shop.ledger.tasks = Looks(shop.ledger._database)
    shop.worker.run()
    assert looked == [(shop.study.id, 3)]


def test_a_worker_for_any_study_has_no_child_before_its_first_task(shop: Shop) -> None:
    looked: list[object] = []

    class Looks(SqlTasks):
        def claim(self, worker: str, *, lease: float, **how: Any) -> Claim | None:
            looked.append(shop.worker._child)
            shop.worker.stop.ask()
            return super().claim(worker, lease=lease, **how)

    shop.ledger.tasks, shop.worker.study = Looks(shop.ledger._database), None
    shop.worker.run()
    assert looked == [None]


def test_a_worker_is_in_the_fleet_from_its_start_to_its_end(shop: Shop) -> None:
    seen: list[FleetWorker] = []

    class Looks(SqlTasks):
        def commit_and_claim(self, completed: Sequence[Completed], **how: Any) -> Sequence[Claim]:
            seen.extend(shop.ledger.workers.alive())
            shop.worker.stop.ask()
            return super().commit_and_claim(completed, **how)

    shop.ledger.tasks = Looks(shop.ledger._database)
    shop.worker.offer = Offer(packages=installed_packages(), memory=usable_memory())
    shop.worker.run()
    assert [(one.name, one.study, one.process) for one in seen] == [
        ("w", shop.study.id, os.getpid())
    ]
    assert seen[0].offer == shop.worker.offer
    assert 10 << 20 < seen[0].used < 4 << 30
    assert shop.ledger.workers.alive() == []


def test_a_worker_takes_no_task_of_a_study_whose_library_it_has_in_another_version(
    shop: Shop,
) -> None:
    assert shop.study.needs["sklearn.linear_model:Ridge"].keys() == {"scikit-learn", "fairlead"}
    packages = installed_packages()
    for other in ({"scikit-learn": "0.1"}, {"fairlead": "9.9"}):
        offer = Offer(packages={**packages, **other})
        assert shop.ledger.tasks.claim("w", lease=60, offer=offer) is None
    assert shop.ledger.tasks.claim("w", lease=60, offer=Offer(packages=packages)) is not None


def test_a_worker_goes_on_when_a_ledger_that_was_away_is_back(shop: Shop) -> None:
    """Away before a claim, at a heartbeat and at a commit; each is asked for again."""
    noted: list[str] = []

    class Away(SqlTasks):
        calls: ClassVar[Counter[str]] = Counter()

        def _fails(self, what: str) -> None:
            self.calls[what] += 1
            if self.calls[what] in {1, 2}:
                raise Unreachable(f"no ledger for a {what}")

        def claim(self, worker: str, *, lease: float, **how: Any) -> Claim | None:
            self._fails("claim")
            return super().claim(worker, lease=lease, **how)

        def commit_and_claim(self, completed: Sequence[Completed], **how: Any) -> Sequence[Claim]:
            self._fails("commit")
            following = super().commit_and_claim(completed, **how)
            if not following:
                shop.worker.stop.ask()
            return following

    shop.ledger.tasks, shop.worker.note = Away(shop.ledger._database), noted.append
    shop.worker.run()
    assert noted == [f"no ledger for a {what}; trying again" for what in ("claim", "commit")]
    assert shop.ledger.studies.counts(shop.study.id) == Counts(done=3)
    assert [kind for kind, _ in shop.history()] == ["claimed", "committed"] * 3
