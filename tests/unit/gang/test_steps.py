from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fairlead.gang.steps import total

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
