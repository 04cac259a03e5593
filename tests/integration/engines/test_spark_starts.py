"""The start and the end of Spark: each test has an application of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.support.computations import open_rounding, work_of
from tests.support.spark import (
    ROOT,
    alive,
    bits,
    executors,
    expected,
    gang,
    request_of,
    rounds,
    runs,
    started,
)
from tests.support.waiting import wait_until

from fairlead.engines.spark import SparkEngine
from fairlead.errors import Failed, Invalid, Unreachable

pytestmark = pytest.mark.distributed


def test_spark_prints_nothing_and_says_how_far_its_start_is(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    engine = SparkEngine(
        master="local[1]", open_computation=open_rounding, logs=tmp_path, notice=lines.append
    )
    engine.start(request_of("g"))
    try:
        assert bits(gang(engine).compute(work_of(0))) == expected(work_of(0))
        assert gang(engine).alive() == 1
    finally:
        engine.stop("g")
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "WARN" not in printed.err
    assert (tmp_path / "spark-g.log").read_text()
    assert [line.partition(": ")[2].partition(" after")[0] for line in lines] == [
        "its JVM answers",
        "its context is there",
        "its first executor is there",
    ]


def test_a_process_has_one_application_at_a_time(tmp_path: Path) -> None:
    with started(tmp_path, master="local[1]") as engine:
        other = SparkEngine(master="local[1]", open_computation=open_rounding, logs=tmp_path)
        with pytest.raises(Invalid, match="this process has an application of Spark already"):
            other.start(request_of("other"))
        assert bits(gang(engine).compute(work_of(0))) == expected(work_of(0))


def test_a_cluster_of_ones_own_choice_has_its_workers(tmp_path: Path) -> None:
    with started(tmp_path, ranks=4, master="local-cluster[1,1,600]") as engine:
        assert bits(gang(engine).compute(work_of(0))) == expected(work_of(0))
        assert alive(engine) == 1


def test_spark_that_is_gone_is_worth_another_try_and_starts_again(tmp_path: Path) -> None:
    with started(tmp_path, ranks=1) as engine:
        computing = gang(engine)
        computing.compute(work_of(0))
        (jvm,) = [one for one in psutil.Process().children() if "java" in one.name()]
        jvm.kill()
        with pytest.raises(Unreachable, match=r"Spark \(local-cluster.* ended: .*spark-g\.log"):
            computing.compute(work_of(1))
        with pytest.raises(Unreachable):
            engine.poll("g")
        engine.stop("g")
        engine.start(request_of("g", ranks=1))
        assert bits(gang(engine).compute(work_of(1))) == expected(work_of(1))


def test_a_cluster_without_room_is_said_to_have_none(tmp_path: Path) -> None:
    engine = SparkEngine(
        master=None,
        open_computation=open_rounding,
        logs=tmp_path,
        patience=5,
        conf={"spark.executor.cores": "64"},
    )
    with pytest.raises(
        Failed, match=r"gave 0 of 1 executors in 5 s: look whether it has room for one of"
    ):
        engine.start(request_of("g"))
    assert engine.poll("g") == ()
    assert not executors()


def test_a_master_that_does_not_answer_is_worth_another_try(tmp_path: Path) -> None:
    engine = SparkEngine(
        master="spark://127.0.0.1:9", open_computation=open_rounding, logs=tmp_path, patience=300
    )
    with pytest.raises(Unreachable, match=r"spark://127\.0\.0\.1:9"):
        engine.start(request_of("g"))


def test_executors_end_with_their_driver(tmp_path: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from tests.support.spark import *
engine = SparkEngine(master=None, open_computation=open_rounding, logs=Path(sys.argv[1]))
engine.start(request_of("g", ranks=1))
gang(engine).compute(work_of(0))
print("computed", flush=True)
time.sleep(600)
"""
    driver = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == "computed\n"
    below = psutil.Process(driver.pid).children(recursive=True)
    assert executors(driver.pid)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    driver.stdout.close()
    wait_until(lambda: not any(runs(process) for process in below), seconds=60)


def test_spark_adds_executors_for_a_step_and_takes_them_when_it_is_over(tmp_path: Path) -> None:
    soon = {"spark.dynamicAllocation.executorIdleTimeout": "2s"}
    engine = SparkEngine(master=None, open_computation=open_rounding, logs=tmp_path, conf=soon)
    engine.start(replace(request_of("g", ranks=1), most=2))
    try:
        assert alive(engine) == 1
        work = rounds(0, parts=8)
        assert bits(gang(engine, seconds=3.0).compute(work)) == expected(work)
        assert {rank.rank for rank in engine.poll("g")} == {0, 1}
        wait_until(lambda: alive(engine) == 1)
    finally:
        engine.stop("g")
