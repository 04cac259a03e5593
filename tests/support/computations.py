"""A computation of numbers only, for gangs on any engine, with the faults that its job asks for.

Its answers depend on all that they may depend on, to the last bit. It is imported by ranks and by
tasks of Spark, too.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fairlead.errors import Diverged, Unreachable
from fairlead.gang.work import FitJob, Work
from fairlead.records import Params, Trial

if TYPE_CHECKING:
    from fairlead.gang.work import Vector


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """Sums whose bits change with their order.

    Args:
        params: diverges_at, raises_at: a part; seconds: of each part; dies_in: a folder, in which
            the first process that computes part 1 leaves a file, and kills itself; kills: every
            process that computes it does; barrier: whether answers say if they are of a barrier
            stage; pids: a folder in which each process leaves a file.
    """

    params: Params

    def part(self, work: Work, number: int) -> Vector:
        """The answer to one part."""
        self._fail(number)
        time.sleep(float(str(self.params.get("seconds", 0))))
        if self.params.get("barrier"):
            return np.array([number, _in_barrier_stage()], np.float32)
        drawn = np.random.Generator(np.random.Philox(key=[work.step, number]))
        weights = drawn.standard_normal(len(work.state), np.float32)
        return np.cumsum(weights * work.state, dtype=np.float32)

    def _fail(self, number: int) -> None:
        if folder := self.params.get("pids"):
            Path(str(folder), str(os.getpid())).touch()
        if number == self.params.get("diverges_at"):
            raise Diverged(f"part {number}: the loss is nan")
        if number == self.params.get("raises_at"):
            raise ZeroDivisionError("a model's own fault")
        if number == self.params.get("unreachable_at"):
            raise Unreachable("the artefact store did not answer")
        if number == 1 and (folder := self.params.get("dies_in")) and _is_first(Path(str(folder))):
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 1 and self.params.get("kills"):
            os.kill(os.getpid(), signal.SIGKILL)


def _is_first(folder: Path) -> bool:
    try:
        (folder / "died").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _in_barrier_stage() -> bool:
    from pyspark import BarrierTaskContext, TaskContext

    return isinstance(TaskContext.get(), BarrierTaskContext)


def open_rounding(job: FitJob) -> Rounding:
    """What a gang is given to open its job by."""
    return Rounding(params=job.trial.params)


def job_of(**params: float | str | bool) -> FitJob:
    """The job of a computation with these faults."""
    trial = Trial(number=0, family="none", params=params)
    return FitJob(study="s", spec="{}", table="0" * 64, sources={}, trial=trial, fold=0)


def work_of(step: int, *, parts: int = 4, kind: str = "gradients") -> Work:
    """A step whose state changes with its number."""
    drawn = np.random.Generator(np.random.Philox(key=[7, step]))
    state = drawn.standard_normal(1000, np.float32)
    return Work(
        kind="local_steps" if kind == "local_steps" else "gradients",
        step=step,
        parts=parts,
        state=state,
    )
