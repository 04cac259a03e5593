"""A model in training, as the driver of its fit has it.

It says what the next step computes, and becomes what the answers make of it. All that the next step
depends on is its checkpoint: a model that was restored from one goes on to the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from fairlead.gang.work import Computation, Vector, Work

if TYPE_CHECKING:
    from numpy.typing import NDArray

Arrays: TypeAlias = "Mapping[str, NDArray[Any]]"


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What a step gave.

    Args:
        step: Its number, from 0.
        steps: How many the fit has at most.
        epoch: How many times all rows have been seen by now.
        loss: Mean over the rows of the step.
        accuracy: Share of them predicted right; None for regression.
        rows: How many it had.
    """

    step: int
    steps: int
    epoch: float
    loss: float
    accuracy: float | None
    rows: int


class Network(Computation, Protocol):
    """A model in training."""

    def next(self) -> Work | None:
        """What the next step computes; None once the fit is over."""
        ...

    def advance(self, work: Work, total: Vector) -> StepResult:
        """Take the step.

        Args:
            work: From `next`.
            total: The sum of the answers to its parts, added in the order of their numbers.

        Raises:
            Diverged: Its loss, or a weight, is no finite number.
        """
        ...

    def checkpoint(self) -> Arrays:
        """All that the next step depends on: weights, moving averages, the optimizer, the step."""
        ...

    def restore(self, arrays: Arrays) -> None:
        """Go on where a checkpoint was made.

        Raises:
            Corrupt: It is of another model, or damaged.
        """
        ...
