"""Gangs on Spark, in the middle of whose steps executors die, stop and come back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.support.computations import job_of, work_of
from tests.support.spark import (
    alive,
    bits,
    during,
    executors,
    expected,
    gang,
    request_of,
    rounds,
    runs,
    started,
    stop,
)
from tests.support.waiting import wait_until

from fairlead.engines.spark import SparkEngine
from fairlead.errors import Diverged, Failed, Invalid, Unreachable
from fairlead.gang.steps import total

pytestmark = pytest.mark.distributed


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkEngine]:
    silent = {"spark.executor.heartbeatInterval": "2s", "spark.network.timeout": "20s"}
    with started(tmp_path_factory.mktemp("logs"), conf=silent) as engine:
        yield engine


@pytest.fixture
def both(engine: SparkEngine) -> Iterator[SparkEngine]:
    """Two executors, whatever the test before did to them."""
    wait_until(lambda: alive(engine) == 2)
    yield engine
    with contextlib.suppress(psutil.Error):  # for a test that failed between stop and continue
        for process in executors():
            process.resume()


def test_a_step_on_spark_has_the_bits_of_one_in_this_process(both: SparkEngine) -> None:
    computing = gang(both)
    for step in range(3):
        work = work_of(step, parts=5)
        answers = computing.compute(work)
        assert bits(answers) == expected(work)
        assert total(answers).dtype == "float32"
    assert computing.alive() == 2


def test_the_executors_are_processes_of_their_own_and_each_is_a_rank(
    both: SparkEngine, tmp_path: Path
) -> None:
    gang(both, pids=str(tmp_path), seconds=0.3).compute(work_of(0, parts=6))
    pids = {int(file.name) for file in tmp_path.iterdir()}
    assert len(pids) == 2
    below = {child.pid for one in executors() for child in one.children(recursive=True)}
    assert pids <= below
    ranks = [rank for rank in both.poll("g") if rank.alive]
    assert len(ranks) == 2
    assert all(rank.state == "running" and rank.seconds > 0 for rank in ranks)


def test_an_executor_keeps_its_fit_open_between_steps(both: SparkEngine, tmp_path: Path) -> None:
    computing = gang(both, pids=str(tmp_path))
    for step in range(4):
        computing.compute(work_of(step, parts=2))
    assert len(list(tmp_path.iterdir())) <= 2


def test_an_executor_killed_in_the_middle_of_a_step_changes_no_bit(
    both: SparkEngine, tmp_path: Path
) -> None:
    work = work_of(4, parts=6)
    killed = executors()[0]
    computing = gang(both, pids=str(tmp_path), seconds=0.5)
    assert bits(during(computing, work, killed.kill)) == expected(work)
    wait_until(lambda: alive(both) == 2)
    ended = [rank for rank in both.poll("g") if not rank.alive]
    assert ended
    assert ended[-1].why
    assert bits(computing.compute(work_of(5))) == expected(work_of(5))


def test_an_executor_that_is_stopped_for_good_is_replaced(
    both: SparkEngine, tmp_path: Path
) -> None:
    work = work_of(6, parts=4)
    stopped = executors()[0]
    computing = gang(both, pids=str(tmp_path), seconds=0.5)
    assert bits(during(computing, work, lambda: stop(stopped))) == expected(work)
    assert bits(computing.compute(work_of(7))) == expected(work_of(7))
    wait_until(lambda: not runs(stopped))


def test_an_executor_that_is_stopped_and_continued_goes_on(
    both: SparkEngine, tmp_path: Path
) -> None:
    work = work_of(8, parts=4)
    stopped = executors()[0]
    computing = gang(both, pids=str(tmp_path), seconds=0.5)

    def stop_for_a_while() -> None:
        stop(stopped)
        time.sleep(3.0)
        for process in (stopped, *stopped.children(recursive=True)):
            process.resume()

    assert bits(during(computing, work, stop_for_a_while)) == expected(work)
    assert stopped.is_running()


def test_a_process_that_dies_costs_its_part_alone(both: SparkEngine, tmp_path: Path) -> None:
    work = work_of(9)
    assert bits(gang(both, dies_in=str(tmp_path)).compute(work)) == expected(work)
    assert (tmp_path / "died").exists()


def test_processes_that_end_whoever_computes_are_a_failure_of_the_step(both: SparkEngine) -> None:
    with pytest.raises(Failed, match=r"computing: Spark \(local-cluster.*failed 8 times.*\.log"):
        gang(both, kills=True).compute(work_of(10))
    assert bits(gang(both).compute(work_of(11))) == expected(work_of(11))


def test_a_fault_of_the_computation_is_not_tried_again(both: SparkEngine, tmp_path: Path) -> None:
    with pytest.raises(Failed, match="ZeroDivisionError: a model's own fault"):
        gang(both, raises_at=2).compute(work_of(0))
    with pytest.raises(Diverged, match="part 3: the loss is nan"):
        gang(both, diverges_at=3).compute(work_of(0))
    with pytest.raises(Unreachable, match="the artefact store did not answer"):
        gang(both, unreachable_at=0).compute(work_of(0))


def test_a_round_of_local_steps_is_a_barrier_stage_where_there_is_room(both: SparkEngine) -> None:
    seen = [float(one[1]) for one in gang(both, barrier=True).compute(rounds(0, parts=2))]
    assert seen == [1.0, 1.0]
    seen = [float(one[1]) for one in gang(both, barrier=True).compute(rounds(0, parts=3))]
    assert seen == [0.0, 0.0, 0.0]
    seen = [float(one[1]) for one in gang(both, barrier=True).compute(work_of(0, parts=2))]
    assert seen == [0.0, 0.0]


def test_a_round_has_the_same_bits_in_a_barrier_stage_as_in_plain_tasks(both: SparkEngine) -> None:
    for parts in (2, 3):
        assert bits(gang(both).compute(rounds(1, parts=parts))) == expected(rounds(1, parts=parts))


def test_an_executor_killed_in_a_barrier_stage_changes_no_bit(
    both: SparkEngine, tmp_path: Path
) -> None:
    work = rounds(2, parts=2)
    killed = executors()[0]
    computing = gang(both, pids=str(tmp_path), seconds=3.0)
    assert bits(during(computing, work, killed.kill)) == expected(work)


def test_what_an_executor_printed_is_kept(both: SparkEngine) -> None:
    rank = next(rank.rank for rank in both.poll("g") if rank.alive)
    assert "CoarseGrainedExecutorBackend" in both.logs("g", rank)
    assert both.logs("g", 4711) == ""


def test_started_twice_is_once_and_another_gang_is_refused(both: SparkEngine) -> None:
    assert both.start(request_of("g")) == "g"
    assert len(executors()) == 2
    with pytest.raises(Invalid, match="Spark has gang 'g': a process drives one at a time"):
        both.start(request_of("other"))
    both.stop("other")
    assert both.poll("other") == ()
    with pytest.raises(Invalid, match="Spark has no gang 'other'"):
        both.gang("other", job_of())
