"""The step that a gang computes: what still arrives once it is over changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from fairlead.errors import Diverged, Failed
from fairlead.gang.messages import Raised
from fairlead.gang.step_in_hand import MOST_LOST, MOST_RAISED, StepInHand
from fairlead.gang.work import Work

FAULT = Raised(job=1, reason="out of memory", step=0, number=0)
ANSWER = np.ones(3, np.float32)


def step() -> StepInHand:
    work = Work(kind="gradients", step=0, parts=1, state=np.zeros(2, np.float32))
    return StepInHand(work, job=1)


def test_a_part_that_raises_as_often_as_that_ends_the_step() -> None:
    one = step()
    for rank in range(MOST_RAISED):
        assert not one.is_over
        one.take_fault(0, rank, FAULT)
    with pytest.raises(Failed, match="out of memory"):
        one.result()


def test_a_part_whose_ranks_are_lost_as_often_as_that_ends_the_step() -> None:
    one = step()
    for rank in range(MOST_LOST):
        assert not one.is_over
        one.next_part(rank, now=float(rank), quiet=(), late=0.5)
        one.lose(0, rank)
    with pytest.raises(Failed, match="more memory"):
        one.result()


def test_the_faults_of_others_that_had_the_part_too_come_too_late() -> None:
    one = step()
    one.take(0, 0, ANSWER)
    for rank in range(1, 1 + MOST_RAISED):
        one.take_fault(0, rank, FAULT)
    one.take_fault(0, 9, Raised(job=1, reason="nan", code=Diverged.default_code))
    assert [vector.tolist() for vector in one.result()] == [[1.0, 1.0, 1.0]]


def test_a_round_that_a_rank_is_lost_from_is_taken_anew_by_all_though_others_had_answered() -> None:
    state = np.zeros(2, np.float32)
    one = StepInHand(Work(kind="collective_steps", step=0, parts=2, state=state), job=1)
    for rank in (0, 1):
        one.next_part(rank, now=0.0, quiet=(), late=0.5)
    one.take(0, 0, ANSWER)
    one.lose(1, 1)
    assert [one.next_part(rank, now=1.0, quiet=(), late=0.5) for rank in (0, 1)] == [0, 1]
    for rank in (0, 1):
        assert not one.is_over
        assert one.take(rank, rank, ANSWER)
    assert len(one.result()) == 2
