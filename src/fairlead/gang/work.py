"""What is computed in one step of a shared fit, and who can compute it.

The driver of a fit cuts each step into parts. A part follows from the step, its number and the
state alone: whoever computes it, and however often, gives the same bits. The driver puts the
answers together in the order of their numbers, so the model does not depend on who computed what.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from fairlead.errors import Failed
from fairlead.records import Digest, Trial

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Vector: TypeAlias = "NDArray[np.float32]"
WorkKind: TypeAlias = Literal["gradients", "local_steps", "collective_steps"]


@dataclass(frozen=True, kw_only=True)
class FitJob:
    """Which fit it is, for a process that has nothing of it yet.

    Args:
        study: Id of the study.
        spec: Its spec as canonical JSON.
        table: The artefact of its table.
        sources: The artefacts of its `./file.py:name` sources.
        trial: Whose parameters are fitted.
        fold: Number of the fold whose training rows are fitted on; None for all of the study's.
    """

    study: str
    spec: str
    table: Digest
    sources: Mapping[str, Digest]
    trial: Trial
    fold: int | None


@dataclass(frozen=True, kw_only=True)
class Work:
    """One step.

    Args:
        kind: gradients: each part is the gradient of a microbatch; local_steps: the state after
            `train.pull_every` steps on a share of the rows; collective_steps: the same of steps
            whose gradients the ranks add among themselves, which part 0 answers for all.
        step: Its number, from 0.
        parts: How many there are.
        state: float32 [n]: what parts are computed from.
    """

    kind: WorkKind
    step: int
    parts: int
    state: Vector


class Computation(Protocol):
    """Computes parts of the steps of one fit: in a rank, in a task of Spark, or alone."""

    def part(self, work: Work, number: int) -> Vector:
        """The answer to one part, float32 [m]: the same bits wherever it is computed."""
        ...


def answer_of(computation: Computation, work: Work, number: int) -> Vector:
    """The answer to one part, as every process that computes it must have it.

    Raises:
        Failed: It is no vector of float32: between processes it would become one, and in a single
            process it would not, so that the bits of a model depended on who computed it.
    """
    answer = computation.part(work, number)
    refuse_other(answer, f"step {work.step}, part {number}: the answer")
    return answer


def refuse_other(vector: object, what: str) -> None:
    """Refuse what is no vector of float32.

    Args:
        vector: What a network gave.
        what: It is, for the message.

    Raises:
        Failed: Says what it is instead.
    """
    kind, shape = getattr(vector, "dtype", None), getattr(vector, "shape", ())
    if kind == "float32" and len(shape) == 1:
        return
    found = type(vector).__name__ if kind is None else f"{kind} {list(shape)}"
    raise Failed(f"{what} must be an array of float32 with one axis, not {found}")


class Gang(Protocol):
    """Processes that compute the parts of steps together."""

    def compute(self, work: Work) -> Sequence[Vector]:
        """The answers to all parts, in the order of their numbers.

        Processes that die, hang or come while it waits change nothing in what it gives.

        Raises:
            Failed: The computation itself fails, whoever tries it, or processes end as soon as they
                start.
        """
        ...

    def alive(self) -> int:
        """How many processes compute now."""
        ...


OpenComputation: TypeAlias = Callable[[FitJob], Computation]
"""Makes of a job what computes its parts; in a rank, from the artefact store."""
