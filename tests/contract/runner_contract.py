"""What every runner keeps; inherited by the test of each, which gives `runner` and `group`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from fairlead.runners.runner import Runner, WorkerGroup, WorkerStatus
from tests.support.waiting import wait_until


class RunnerContract:
    """The promises of the Protocol `Runner`.

    A class that inherits it gives `kill`, which ends a worker from outside, the fixture `runner`,
    and the fixture `group`, whose workers stay until they are ended.
    """

    def kill(self, runner: Runner, group: WorkerGroup, worker: str) -> None:
        raise NotImplementedError

    def broken(self, group: WorkerGroup) -> WorkerGroup:
        """A group whose workers end by themselves at once, with a line in their log."""
        return replace(group, ledger="nosuch://ledger")

    @pytest.fixture(autouse=True)
    def _removed(self, runner: Runner, group: WorkerGroup) -> Any:
        yield
        runner.remove(group.key)

    def alive(self, runner: Runner, group: WorkerGroup) -> Sequence[WorkerStatus]:
        return [worker for worker in runner.look(group.key) if worker.alive]

    def running(self, runner: Runner, group: WorkerGroup, count: int) -> list[str]:
        def all_run() -> bool:
            alive = self.alive(runner, group)
            return len(alive) == count and all(one.state == "running" for one in alive)

        wait_until(all_run)
        return [one.name for one in self.alive(runner, group)]

    def test_a_group_that_was_never_asked_for_has_no_workers(self, runner: Runner) -> None:
        assert list(runner.look("unknown")) == []
        runner.remove("unknown")

    def test_it_starts_as_many_as_are_asked_for(self, runner: Runner, group: WorkerGroup) -> None:
        runner.ensure(group, 2)
        assert len(set(self.running(runner, group, 2))) == 2

    def test_asked_twice_is_once(self, runner: Runner, group: WorkerGroup) -> None:
        runner.ensure(group, 2)
        runner.ensure(group, 2)
        assert len(self.running(runner, group, 2)) == 2

    def test_it_only_ever_adds(self, runner: Runner, group: WorkerGroup) -> None:
        runner.ensure(group, 2)
        before = self.running(runner, group, 2)
        runner.ensure(group, 1)
        assert self.running(runner, group, 2) == before
        runner.ensure(group, 3)
        assert set(before) < set(self.running(runner, group, 3))

    def test_one_that_was_killed_is_said_to_be_and_another_takes_its_place(
        self, runner: Runner, group: WorkerGroup
    ) -> None:
        runner.ensure(group, 2)
        first, second = self.running(runner, group, 2)
        self.kill(runner, group, first)
        wait_until(lambda: len(self.alive(runner, group)) == 1)
        dead = next(one for one in runner.look(group.key) if one.name == first)
        assert (dead.state, dead.killed) == ("ended", True)
        assert dead.why
        runner.ensure(group, 2)
        after = self.running(runner, group, 2)
        assert second in after
        assert first not in after

    def test_one_that_ends_by_itself_tells_why_and_leaves_its_log(
        self, runner: Runner, group: WorkerGroup
    ) -> None:
        runner.ensure(self.broken(group), 1)
        wait_until(lambda: not self.alive(runner, group))
        (ended,) = runner.look(group.key)
        assert (ended.state, ended.killed) == ("ended", False)
        assert ended.why
        assert ended.log
        assert "nosuch://ledger" in runner.logs(group.key, ended.name)

    def test_leaving_ends_no_worker_that_runs(self, runner: Runner, group: WorkerGroup) -> None:
        runner.ensure(group, 2)
        names = self.running(runner, group, 2)
        runner.leave(group.key, names[:1])
        runner.leave(group.key, ["unknown"])
        assert self.running(runner, group, 2) == names

    def test_leaving_ends_one_that_is_still_starting(
        self, runner: Runner, group: WorkerGroup
    ) -> None:
        runner.ensure(group, 1)
        starting = [one.name for one in runner.look(group.key) if one.state == "starting"]
        runner.leave(group.key, starting)
        wait_until(lambda: not {one.name for one in self.alive(runner, group)} & set(starting))

    def test_removing_ends_all_and_forgets_the_group(
        self, runner: Runner, group: WorkerGroup
    ) -> None:
        runner.ensure(group, 2)
        self.running(runner, group, 2)
        runner.remove(group.key)
        assert list(runner.look(group.key)) == []
        runner.ensure(group, 1)
        assert len(self.running(runner, group, 1)) == 1

    def test_groups_are_apart(self, runner: Runner, group: WorkerGroup) -> None:
        other = replace(group, key="other")
        runner.ensure(group, 1)
        runner.ensure(other, 2)
        try:
            assert len(self.running(runner, group, 1)) == 1
            assert len(self.running(runner, other, 2)) == 2
            runner.remove(other.key)
            assert len(self.running(runner, group, 1)) == 1
        finally:
            runner.remove(other.key)

    def test_nothing_is_known_of_what_an_unknown_worker_printed(
        self, runner: Runner, group: WorkerGroup
    ) -> None:
        assert runner.logs(group.key, "unknown") == ""


class DetachedRunnerContract(RunnerContract):
    """The promises of one whose workers outlive it, on an engine with little room.

    A class that inherits it gives the fixture `other` besides: a runner of another process.
    """

    def too_large(self, group: WorkerGroup) -> WorkerGroup:
        """A group that the engine has no room for."""
        return replace(group, cores=1000.0)

    def test_it_says_that_they_are_detached(self, runner: Runner) -> None:
        assert runner.detached

    def test_asked_by_two_is_once(self, runner: Runner, other: Runner, group: WorkerGroup) -> None:
        runner.ensure(group, 2)
        other.ensure(group, 2)
        names = self.running(runner, group, 2)
        assert sorted(self.running(other, group, 2)) == sorted(names)

    def test_another_process_goes_on_with_workers_that_had_no_room(
        self, runner: Runner, other: Runner, group: WorkerGroup
    ) -> None:
        large = self.too_large(group)
        runner.ensure(large, 2)
        wait_until(lambda: len(self.with_a_reason(runner, large)) == 2)
        first = runner.look(group.key)[0].name
        assert len(other.look(group.key)) == 2
        other.leave(group.key, [first])
        wait_until(lambda: len(self.alive(runner, group)) == 1)
        other.remove(group.key)
        wait_until(lambda: not self.alive(runner, group))

    def test_no_room_is_one_line_and_holds_nothing(
        self, runner: Runner, group: WorkerGroup
    ) -> None:
        large = self.too_large(group)
        runner.ensure(large, 1)
        (waiting,) = wait_until(lambda: self.with_a_reason(runner, large))
        assert "1000 CPU" in waiting_reason(runner, large)
        assert "\n" not in waiting_reason(runner, large)
        runner.leave(group.key, [waiting])
        wait_until(lambda: not self.alive(runner, group))
        assert [one.seconds for one in runner.look(group.key)] == [0.0]

    def with_a_reason(self, runner: Runner, group: WorkerGroup) -> list[str]:
        return [
            one.name for one in self.alive(runner, group) if one.state == "starting" and one.why
        ]


def waiting_reason(runner: Runner, group: WorkerGroup) -> str:
    return next(one.why for one in runner.look(group.key) if one.alive)
