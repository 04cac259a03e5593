"""The steps of a fit: what each computes is put together in one order, whoever computed it.

Floating-point sums depend on their order. Answers are added in the order of the numbers of their
parts, so a model has the same bits whether one process computed all of them or each had another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from fairlead.errors import Failed
from fairlead.gang.network import Network, StepResult
from fairlead.gang.work import Computation, Gang, Vector, Work, answer_of, refuse_other


@dataclass(frozen=True, kw_only=True)
class Alone:
    """A gang of one: this process computes every part, one after another."""

    computation: Computation

    def compute(self, work: Work) -> Sequence[Vector]:
        """The answers to all parts, in the order of their numbers."""
        work = _unwritable(work)
        return [answer_of(self.computation, work, number) for number in range(work.parts)]

    def alive(self) -> int:
        """This process."""
        return 1


def steps(network: Network, gang: Gang) -> Iterator[StepResult]:
    """The steps that are left of a fit, each once the network has taken it.

    Whoever wants no more of them leaves the rest.

    Args:
        network: The model in training, new or restored from a checkpoint.
        gang: Who computes.

    Raises:
        Diverged: The loss is no finite number any more.
        Failed: The parts of a step cannot be computed, or are not what they must be.
    """
    while (work := network.next()) is not None:
        refuse_other(work.state, f"step {work.step}: the state")
        yield network.advance(work, total(gang.compute(work)))


def _unwritable(work: Work) -> Work:
    """The step with a state that no part can change for the others, as that of a rank is."""
    if not work.state.flags.writeable:
        return work
    state = work.state.view()
    state.flags.writeable = False
    return replace(work, state=state)


def take_steps(network: Network, gang: Gang, listen: Callable[[StepResult], None]) -> None:
    """Take all of them; `listen` is told of each."""
    for result in steps(network, gang):
        listen(result)


def total(answers: Sequence[Vector]) -> Vector:
    """The sum of the answers, float32 [m], added in their order.

    Raises:
        Failed: They have not as many numbers each.
    """
    lengths = sorted({len(answer) for answer in answers})
    if len(lengths) > 1:
        raise Failed(
            f"parts of one step were answered with {lengths} numbers, and each must have as many: "
            "where ranks computed them, all need the same versions of Fairlead and its libraries"
        )
    summed = answers[0].copy()
    for answer in answers[1:]:
        summed += answer
    return summed
