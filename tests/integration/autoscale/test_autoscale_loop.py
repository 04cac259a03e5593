"""The loop of an autoscaler, with real workers that have nothing to train."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.support.waiting import wait_until

from fairlead.autoscale.decide import Policy
from fairlead.autoscale.loop import AutoscalerLoop
from fairlead.errors import Failed, Forbidden
from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from fairlead.records import Autoscaler, FleetWorker, NewTask, Offer, ScalingDecision, Study, Trial
from fairlead.runners.local import LocalRunner
from fairlead.runners.runner import WorkerGroup, WorkerStatus
from fairlead.study.workers import early_end_reason

STUDY = Study(id="ab" * 8, name="idle", spec='{"search": {"threads": 1}}', table="7" * 64, size=9)
KEEP_ONE = Policy(least=1, most=1, cooldown=0.5)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "ledger.db") as opened:
        yield opened


@pytest.fixture
def loop(ledger: Ledger, tmp_path: Path) -> AutoscalerLoop:
    return AutoscalerLoop(
        name="local",
        holder="mine",
        ledger=ledger,
        runner=LocalRunner(home=tmp_path, logs=tmp_path / "logs", stopped=20.0),
        group=WorkerGroup(
            key="autoscaler-local",
            study=None,
            ledger=f"sqlite:///{tmp_path / 'ledger.db'}",
            artifacts=(tmp_path / "artifacts").as_uri(),
        ),
        policy=KEEP_ONE,
        offer=Offer(packages={}),
        lease=60.0,
        drain=30.0,
        every=0.1,
    )


@contextmanager
def running(loop: AutoscalerLoop) -> Iterator[None]:
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield
    finally:
        loop.stop.ask()
        thread.join(60)
        assert not thread.is_alive()


def decisions(ledger: Ledger) -> list[ScalingDecision]:
    """The oldest first."""
    return list(reversed(ledger.autoscaling.decisions()))


def processes() -> list[psutil.Process]:
    """Workers that run; one that has just ended is a zombie until somebody looks at it."""
    return [one for one in psutil.Process().children() if is_worker(one)]


def is_worker(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return "worker" in process.cmdline()
    return False


def test_workers_that_end_at_once_are_not_started_for_ever(
    loop: AutoscalerLoop, ledger: Ledger
) -> None:
    loop.group = replace(loop.group, ledger="nosuch://ledger")
    with pytest.raises(Failed, match=r"workers end as soon as they start.*nosuch://ledger"):
        loop.run()
    last = decisions(ledger)[-1]
    assert (last.cause, last.wanted) == ("failed", 0)
    assert "nosuch://ledger" in last.reason
    assert ledger.autoscaling.all()[0].holder is None


class GuardedRunner(LocalRunner):
    """One whose rights can be taken away."""

    is_allowed = True

    def look(self, key: str) -> Sequence[WorkerStatus]:
        self._refuse("list jobs")
        return super().look(key)

    def logs(self, key: str, worker: str) -> str:
        self._refuse("get logs")
        return super().logs(key, worker)

    def _refuse(self, what: str) -> None:
        if not self.is_allowed:
            raise Forbidden(f"{what}: forbidden")


@pytest.fixture
def guarded(loop: AutoscalerLoop, tmp_path: Path) -> GuardedRunner:
    runner = GuardedRunner(home=tmp_path, logs=tmp_path / "logs", stopped=20.0)
    loop.runner = runner
    return runner


def test_a_right_that_is_taken_away_ends_no_worker(
    loop: AutoscalerLoop, ledger: Ledger, guarded: GuardedRunner
) -> None:
    said: list[str] = []
    loop.note = said.append
    with running(loop):
        wait_until(ledger.workers.alive)
        before = processes()
        guarded.is_allowed = False
        wait_until(lambda: loop.trouble)
        assert loop.trouble == "list jobs: forbidden; trying again"
        guarded.is_allowed = True
        wait_until(lambda: not loop.trouble)
        assert processes() == before
    assert said == ["list jobs: forbidden; trying again"]


def test_who_was_never_allowed_says_so_and_ends(
    loop: AutoscalerLoop, guarded: GuardedRunner
) -> None:
    guarded.is_allowed = False
    with pytest.raises(Forbidden, match="list jobs: forbidden"):
        loop.run()


def test_who_may_not_read_logs_says_how_workers_ended(
    tmp_path: Path, guarded: GuardedRunner
) -> None:
    guarded.is_allowed = False
    dead = WorkerStatus(name="w-1", state="ended", why="status 1: no ledger", log="pod ml/w-1")
    assert early_end_reason(guarded, "w", dead) == (
        "workers end as soon as they start: status 1: no ledger (more in pod ml/w-1)"
    )


def test_who_loses_the_name_has_its_workers_leave(loop: AutoscalerLoop, ledger: Ledger) -> None:
    said: list[str] = []
    loop.note = said.append
    with running(loop):
        wait_until(ledger.workers.alive)
        other = Autoscaler(name="local", holder="other")

        def taken() -> bool:  # unless it was quicker
            ledger.autoscaling.release("local", "mine")
            return ledger.autoscaling.take(other, lease=60.0).holder == "other"

        wait_until(taken)
        wait_until(lambda: not ledger.workers.alive() and not processes())
    assert said == ["autoscaler 'local' is held by 'other'; waiting for its end"]
    assert ledger.autoscaling.all()[0].holder == "other"


def test_workers_of_who_had_the_name_before_count_until_they_are_gone(
    loop: AutoscalerLoop, ledger: Ledger
) -> None:
    former = Autoscaler(name="local", holder="former")
    ledger.workers.seen(FleetWorker(name="x", host="h", process=1, offer=loop.offer), lease=600)
    ledger.autoscaling.take(former, lease=0.001)
    ledger.autoscaling.take(replace(former, workers=("x", "y"), spent=5.0), lease=0.001)
    with running(loop):
        (first,) = wait_until(lambda: decisions(ledger))
        assert (first.cause, first.start, first.spent) == ("most", 0, 5.0)
        assert "1 of them another's" in first.reason
        ledger.workers.gone("x")
        wait_until(lambda: [one.start for one in decisions(ledger)] == [0, 1])
    assert decisions(ledger)[-1].spent > 5.0


def test_nobody_is_started_for_what_nobody_here_can_do(
    loop: AutoscalerLoop, ledger: Ledger
) -> None:
    loop.policy = Policy()
    ledger.studies.open(replace(STUDY, needs={"cat": {"catboost": "1.2"}}))
    trial = Trial(number=0, family="cat", params={})
    ledger.tasks.add(STUDY.id, [NewTask(kind="trials", trials=(trial,))])
    with running(loop):
        (first,) = wait_until(lambda: decisions(ledger))
    assert (first.cause, first.ready, first.start) == ("lacking", 1, 0)
    assert "catboost 1.2 is needed, and it has none" in first.reason


def test_an_idle_worker_that_is_too_many_leaves(loop: AutoscalerLoop, ledger: Ledger) -> None:
    with running(loop):
        (worker,) = wait_until(ledger.workers.alive)
        loop.policy = replace(loop.policy, least=0)
        wait_until(lambda: decisions(ledger)[-1].cause == "none")
        wait_until(lambda: not psutil.pid_exists(worker.process))  # the loop has seen its end
    told = decisions(ledger)
    assert [(one.cause, one.start, len(one.leave)) for one in told if one.cause != "cooling"] == [
        ("least", 1, 0),
        ("shrinking", 0, 1),
        ("none", 0, 0),
        ("stopping", 0, 0),
    ]
    assert ledger.autoscaling.all()[0].spent > 0
