"""What a task of Spark does: it computes one part of a step, in a Python process of an executor.

The process opens the fit for its first part and keeps it for those that follow. A fault of the
computation is an answer like any other: whatever Spark repeats was lost with its process, and is
computed again to the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import msgspec

from fairlead.errors import Diverged, Failed, FairleadError, Transient, Unreachable, described
from fairlead.gang.work import (
    Computation,
    FitJob,
    OpenComputation,
    Work,
    WorkKind,
    answer_of,
)

FaultKind: TypeAlias = Literal["diverged", "failed", "unreachable"]
PartAnswer: TypeAlias = tuple[int, FaultKind | None, bytes]
"""Number of the part; how it failed; the answer's float32 numbers, or what the fault says."""


@dataclass(frozen=True, kw_only=True)
class PartTask:
    """Computes parts of one step.

    Args:
        open_computation: Of an importable module, so that only its name travels.
        job: The fit, as JSON.
        kind, step, parts: Of the step.
        state: Spark's broadcast of the state's float32 numbers.
    """

    open_computation: OpenComputation
    job: bytes
    kind: WorkKind
    step: int
    parts: int
    state: Any

    def __call__(self, number: int, _: Iterator[object]) -> Iterator[PartAnswer]:
        """The answer to the part of this number, which is that of the task's partition."""
        try:
            yield number, None, self._computed(number)
        except Exception as error:  # noqa: BLE001 - whatever a model raises is an answer
            yield number, _kind_of(error), described(error).encode()

    def _computed(self, number: int) -> bytes:
        import numpy as np

        state = np.frombuffer(self.state.value, np.float32)
        work = Work(kind=self.kind, step=self.step, parts=self.parts, state=state)
        answer = answer_of(_opened(self.open_computation, self.job), work, number)
        return bytes(np.ascontiguousarray(answer).data)


@lru_cache(maxsize=1)  # the fit in hand: another one's rows and model are let go
def _opened(open_computation: OpenComputation, job: bytes) -> Computation:
    return open_computation(decoded(job))


def encoded(job: FitJob) -> bytes:
    """A job as tasks take it."""
    return msgspec.json.encode(job)


def decoded(job: bytes) -> FitJob:
    """What `encoded` encoded."""
    return msgspec.json.decode(job, type=FitJob)


def _kind_of(error: Exception) -> FaultKind:
    if isinstance(error, Diverged):
        return "diverged"
    return "unreachable" if isinstance(error, Transient) else "failed"


def raised(kind: FaultKind, text: str) -> FairleadError:
    """The error of a fault, where the driver raises it."""
    kinds = {"diverged": Diverged, "failed": Failed, "unreachable": Unreachable}
    return kinds[kind](text)
