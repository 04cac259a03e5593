"""The step that a gang computes now: who computes which part of it, and the answers so far.

It is used by the thread that has the gang's connections (hub.py); who asked for it waits until it
is over.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from fairlead.errors import Diverged, Failed
from fairlead.gang import assignment, messages
from fairlead.gang.assignment import Assignment
from fairlead.gang.work import Work

if TYPE_CHECKING:
    from fairlead.gang.work import Vector

MOST_LOST = 10
"""A part that so many ranks were lost with is not given to a further one."""
MOST_RAISED = 3
"""An exception that was raised so often is one of the computation, and not of a machine."""


class StepInHand:
    """A step, from when it is asked for until it is over.

    Args:
        work: The step.
        job: Number of the fit that it is of.
    """

    def __init__(self, work: Work, *, job: int) -> None:
        self.work = work
        self.job = job
        self.described = messages.Step(job=job, kind=work.kind, step=work.step, parts=work.parts)
        self._assignment = Assignment(parts=work.parts)
        self._answers: dict[int, Vector] = {}
        self._error: BaseException | None = None
        self._over = threading.Event()

    @property
    def is_over(self) -> bool:
        """Whether every part is answered, or will not be."""
        return self._over.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait until it is over, for so long at most; whether it is."""
        return self._over.wait(seconds)

    def result(self) -> Sequence[Vector]:
        """The answers, in the order of the parts' numbers.

        Raises:
            Failed: There are none.
        """
        if self._error is not None:
            raise self._error
        return [self._answers[number] for number in range(self.work.parts)]

    def fail(self, error: BaseException) -> None:
        """End it with this error, unless it is over: its result may be in use."""
        if not self.is_over:
            self._error = error
            self._over.set()

    def is_answered(self, number: int) -> bool:
        """Whether the part is."""
        return number in self._answers

    def next_part(
        self, rank: int, *, now: float, quiet: Collection[int], late: float
    ) -> int | None:
        """Give an idle rank its next part; None where there is none for it."""
        if self.work.kind == "collective_steps":
            number = assignment.own_part(self._assignment, rank)
        else:
            number = assignment.next_part(self._assignment, rank, now=now, quiet=quiet, late=late)
        if number is not None:
            self._assignment = assignment.given(self._assignment, number, rank, now=now)
        return number

    def take(self, number: int, rank: int, vector: Vector) -> bool:
        """Take an answer; False where the part was answered before."""
        self._assignment = assignment.answered(self._assignment, number, rank)
        if number in self._answers:
            return False
        self._answers[number] = vector
        lengths = {len(one) for one in self._answers.values()}
        if len(lengths) > 1:
            self.fail(
                Failed(
                    f"step {self.work.step}: parts were answered with {sorted(lengths)} numbers; "
                    "all ranks need the same versions of Fairlead and of its libraries"
                )
            )
        if self._assignment.is_over:
            self._over.set()
        return True

    def take_fault(self, number: int, rank: int, fault: messages.Raised) -> None:
        """Take an exception of a part; at the third one of a part there is no other try."""
        self._assignment = assignment.raised(self._assignment, number, rank)
        if fault.code == Diverged.default_code:
            self.fail(Diverged(fault.reason))
        elif self._assignment.raised.count(number) >= MOST_RAISED:
            self.fail(Failed(fault.reason))

    def lose(self, number: int, rank: int) -> None:
        """Take back the part of a rank that is gone; of a round of all ranks, what each gave."""
        self._assignment = assignment.lost(self._assignment, rank)
        if self.work.kind == "collective_steps" and not self.is_over:
            self._assignment = assignment.begun_anew(self._assignment)
            self._answers.clear()
        if self._assignment.lost.count(number) >= MOST_LOST:
            self.fail(
                Failed(
                    f"step {self.work.step}, part {number}: {MOST_LOST} ranks ended while they "
                    "computed it; see what they printed, and give them more memory if that is it"
                )
            )
