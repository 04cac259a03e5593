from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.errors import Failed
from fairlead.gang.steps import Alone, total
from fairlead.gang.work import Work

answers = st.lists(
    st.lists(
        st.floats(
            width=32,
            allow_nan=False,
            allow_infinity=False,
            min_value=-(2.0**100),
            max_value=2.0**100,
        ),
        min_size=3,
        max_size=3,
    ),
    min_size=1,
    max_size=16,
)


@given(answers)
def test_answers_are_added_one_by_one_in_the_order_of_their_parts(rows: list[list[float]]) -> None:
    vectors = [np.asarray(row, np.float32) for row in rows]
    expected = vectors[0]
    for vector in vectors[1:]:
        expected = (expected + vector).astype(np.float32)
    assert total(vectors).tobytes() == expected.tobytes()


def test_the_answers_are_left_as_they_are() -> None:
    vectors = [np.ones(2, np.float32), np.ones(2, np.float32)]
    assert total(vectors).tolist() == [2.0, 2.0]
    assert vectors[0].tolist() == [1.0, 1.0]


class Answering:
    """Computes parts as a function does."""

    def __init__(self, part: Callable[[Work, int], Any]) -> None:
        self.part = part


STATE = np.ones(3, np.float32)
WORK = Work(kind="gradients", step=4, parts=2, state=STATE)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (np.ones(3), r"float64 \[3\]"),
        (np.ones((1, 3), np.float32), r"float32 \[1, 3\]"),
        ([1.0, 2.0, 3.0], "list"),
    ],
)
def test_an_answer_that_other_processes_would_have_otherwise_is_refused(
    answer: Any, said: str
) -> None:
    alone = Alone(computation=Answering(lambda _, __: answer))
    with pytest.raises(Failed, match=f"^step 4, part 0: the answer must be .*, not {said}$"):
        alone.compute(WORK)


def test_a_part_that_changes_the_state_changes_none_of_the_others_either() -> None:
    def part(work: Work, _: int) -> Any:
        work.state[:] = 0
        return work.state

    with pytest.raises(ValueError, match="read-only"):
        Alone(computation=Answering(part)).compute(WORK)
    assert STATE.tolist() == [1.0, 1.0, 1.0]
    assert STATE.flags.writeable


def test_answers_of_other_lengths_are_not_spread_over_the_sum() -> None:
    with pytest.raises(Failed, match=r"answered with \[1, 3\] numbers"):
        total([np.ones(3, np.float32), np.ones(1, np.float32)])
