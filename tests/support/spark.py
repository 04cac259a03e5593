"""Gangs on Spark for tests: a cluster of this machine, whose executors are processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from fairlead.engines.engine import GangRequest
from fairlead.engines.spark import SparkEngine, SparkGang
from fairlead.gang.steps import Alone
from fairlead.gang.work import Work
from tests.support.computations import job_of, open_rounding, work_of
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from fairlead.gang.work import Vector

ROOT = Path(__file__).parents[2]


def request_of(key: str, *, ranks: int = 2) -> GangRequest:
    return GangRequest(
        key=key,
        ranks=ranks,
        address="",
        secret="s" * 32,
        artifacts="file:///none",
        environ={"PYTHONPATH": str(ROOT)},
        memory=1 << 30,
    )


@contextmanager
def started(
    folder: Path,
    *,
    ranks: int = 2,
    master: str | None = None,
    conf: Mapping[str, str] | None = None,
) -> Iterator[SparkEngine]:
    engine = SparkEngine(master=master, open_computation=open_rounding, logs=folder, conf=conf)
    engine.start(request_of("g", ranks=ranks))
    try:
        yield engine
    finally:
        engine.stop("g")


def gang(engine: SparkEngine, **params: float | str | bool) -> SparkGang:
    return engine.gang("g", job_of(**params))


def alive(engine: SparkEngine) -> int:
    return sum(rank.alive for rank in engine.poll("g"))


def executors(parent: int | None = None) -> list[psutil.Process]:
    """The JVMs of executors below a process."""
    found = psutil.Process(parent).children(recursive=True)
    return [one for one in found if _is_executor(one)]


def _is_executor(process: psutil.Process) -> bool:
    try:
        return any("CoarseGrainedExecutorBackend" in word for word in process.cmdline())
    except psutil.Error:
        return False


def bits(answers: Sequence[Vector]) -> bytes:
    return b"".join(answer.tobytes() for answer in answers)


def expected(work: Work) -> bytes:
    return bits(Alone(computation=open_rounding(job_of())).compute(work))


def during(gang: SparkGang, work: Work, act: Callable[[], None]) -> Sequence[Vector]:
    """What a step gives, while something is done to those that compute it."""
    folder = Path(str(_params_of(gang)["pids"]))
    with ThreadPoolExecutor(1) as pool:
        step: Future[Sequence[Vector]] = pool.submit(gang.compute, work)
        wait_until(lambda: step.done() or any(folder.iterdir()))
        assert not step.done(), "it was over before anything could be done to it"
        act()
        return step.result(300)


def _params_of(gang: SparkGang) -> dict[str, object]:
    return dict(json.loads(gang.job)["trial"]["params"])


def rounds(step: int, *, parts: int) -> Work:
    return work_of(step, parts=parts, kind="local_steps")


def stop(executor: psutil.Process) -> None:
    for process in (executor, *executor.children(recursive=True)):
        process.suspend()


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
