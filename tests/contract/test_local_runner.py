"""Workers as processes of this machine do what every runner's workers do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from fairlead.ledger.store import open_ledger
from fairlead.records import Study
from fairlead.runners.local import LocalRunner
from fairlead.runners.runner import Runner, WorkerGroup
from tests.contract.runner_contract import RunnerContract
from tests.support.children import children_with
from tests.support.waiting import wait_until

STUDY = Study(id="ab" * 8, name="idle", spec='{"search": {"threads": 1}}', table="7" * 64, size=1)


def started_ahead(count: int) -> list[psutil.Process]:
    """The workers that wait for a study, once there are so many."""

    def found() -> list[psutil.Process]:
        children = children_with("--assigned")
        return children if len(children) == count else []

    return list(wait_until(found))


class TestLocalRunner(RunnerContract):
    @pytest.fixture
    def runner(self, tmp_path: Path) -> LocalRunner:
        return LocalRunner(home=tmp_path, logs=tmp_path / "logs", stopped=20.0)

    @pytest.fixture
    def group(self, tmp_path: Path) -> WorkerGroup:
        with open_ledger(tmp_path / "ledger.db") as ledger:
            ledger.studies.open(STUDY)  # whose data is missing: its workers wait for tasks
        return WorkerGroup(
            key="run",
            study=STUDY.id,
            ledger=f"sqlite:///{tmp_path / 'ledger.db'}",
            artifacts=(tmp_path / "artifacts").as_uri(),
        )

    def kill(self, runner: Runner, group: WorkerGroup, worker: str) -> None:
        for process in children_with(worker):
            process.kill()

    def test_workers_started_ahead_are_those_that_a_group_gets(
        self, runner: LocalRunner, group: WorkerGroup, tmp_path: Path
    ) -> None:
        with runner:
            runner.start_ahead(group.ledger, group.artifacts, 2)
            ahead = {one.pid for one in started_ahead(2)}
            assert not (tmp_path / "logs").exists()
            with open_ledger(tmp_path / "ledger.db") as ledger:
                runner.ensure(group, 2)
                names = self.running(runner, group, 2)
                assert {one.pid for one in started_ahead(2)} == ahead
                ledger.tasks.ask_to_leave(names)  # which only one that has its study reads
                wait_until(lambda: not self.alive(runner, group))
        assert {one.why for one in runner.look(group.key)} == {"status 0"}

    def test_one_that_died_before_it_had_a_study_is_replaced(
        self, runner: LocalRunner, group: WorkerGroup
    ) -> None:
        runner.start_ahead(group.ledger, group.artifacts, 1)
        (ahead,) = started_ahead(1)
        ahead.kill()
        ahead.wait()
        runner.ensure(group, 1)
        assert len(self.running(runner, group, 1)) == 1
        assert not ahead.is_running()

    def test_those_that_nobody_needs_are_ended(
        self, runner: LocalRunner, group: WorkerGroup
    ) -> None:
        with runner:
            runner.start_ahead(group.ledger, group.artifacts, 3)
            runner.ensure(group, 1)
            started_ahead(1)
            runner.start_ahead(group.ledger, group.artifacts, 1)
        started_ahead(1)

    def test_what_a_worker_that_was_started_ahead_prints_is_kept(
        self, runner: LocalRunner, group: WorkerGroup
    ) -> None:
        runner.start_ahead(group.ledger, group.artifacts, 1)
        runner.ensure(replace(group, study="f" * 16), 1)
        (worker,) = runner.look(group.key)
        wait_until(lambda: not self.alive(runner, group))
        assert "f" * 16 in runner.logs(group.key, worker.name)

    def test_one_that_was_started_ahead_is_for_one_study(
        self, runner: LocalRunner, group: WorkerGroup
    ) -> None:
        runner.start_ahead(group.ledger, group.artifacts, 1)
        (ahead,) = started_ahead(1)
        runner.ensure(replace(group, study=None), 1)
        assert len(self.running(runner, group, 1)) == 1
        wait_until(lambda: not ahead.is_running())


class TestLocalRunnerOfAnyStudy(RunnerContract):
    """The same of workers that work on whatever there is."""

    @pytest.fixture
    def runner(self, tmp_path: Path) -> LocalRunner:
        return LocalRunner(home=tmp_path, logs=tmp_path / "logs", stopped=20.0)

    @pytest.fixture
    def group(self, tmp_path: Path) -> WorkerGroup:
        with open_ledger(tmp_path / "ledger.db"):
            pass
        return WorkerGroup(
            key="any",
            study=None,
            ledger=f"sqlite:///{tmp_path / 'ledger.db'}",
            artifacts=(tmp_path / "artifacts").as_uri(),
        )

    def kill(self, runner: Runner, group: WorkerGroup, worker: str) -> None:
        TestLocalRunner().kill(runner, group, worker)

    def test_they_say_that_they_are_for_no_study_in_particular(
        self, runner: LocalRunner, group: WorkerGroup, tmp_path: Path
    ) -> None:
        runner.ensure(group, 1)
        with open_ledger(tmp_path / "ledger.db") as ledger:
            (seen,) = wait_until(ledger.workers.alive)
            assert seen.study is None
            ledger.tasks.ask_to_leave([seen.name])
            wait_until(lambda: not self.alive(runner, group))
