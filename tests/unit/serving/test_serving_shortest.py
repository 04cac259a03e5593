"""Numbers on their way in and out, against what numpy does with all of them at once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fairlead.data.lexicon import LARGEST
from fairlead.serving.protocol.intake import near
from fairlead.serving.protocol.outputs import shortest

SINGLE = st.floats(width=32, allow_nan=False, allow_infinity=False)
DOUBLE = st.floats(allow_nan=False, allow_infinity=False)
BOUNDS = st.sampled_from([0.0, 1.0, LARGEST]) | st.floats(0, LARGEST)


def by_numpy(values: NDArray[np.float64]) -> list[float]:
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    short = single.astype(str).astype(np.float64)
    same = (single == values) & (short.astype(np.float32) == single)
    found: list[float] = np.where(same, short, values).tolist()
    return found


@given(st.lists(SINGLE | DOUBLE, min_size=1))
def test_a_number_reads_the_same_alone_and_among_others(numbers: list[float]) -> None:
    values = np.array(numbers)
    together = list(map(repr, shortest(values)))
    assert together == [repr(shortest(values[at : at + 1])[0]) for at in range(len(values))]
    assert together == list(map(repr, by_numpy(values)))


@given(SINGLE)
def test_a_float32_comes_back_to_the_last_bit_in_the_fewest_digits(number: float) -> None:
    (found,) = shortest(np.array([number]))
    assert np.float32(found).tobytes() == np.float32(number).tobytes()
    assert repr(found) == repr(float(str(np.float32(number))))


def test_what_float32_does_not_hold_stays_as_it_is() -> None:
    assert shortest(np.array([0.1, 1e300, -1e300, 0.5])) == [0.1, 1e300, -1e300, 0.5]
    assert shortest(np.array([1 / 3])) == [1 / 3]


def test_probabilities_are_row_major() -> None:
    assert shortest(np.array([[0.1, 0.9], [0.3, 0.7]], np.float32)) == [0.1, 0.9, 0.3, 0.7]


@given(st.lists(st.floats(), min_size=1), BOUNDS)
def test_numbers_that_are_near_are_near(numbers: list[float], bound: float) -> None:
    if near(np.array(numbers), bound):
        assert max(map(abs, numbers)) <= bound


@given(st.lists(st.floats(width=32), min_size=1), BOUNDS)
def test_so_are_those_of_a_tensor(numbers: list[float], bound: float) -> None:
    if near(np.array(numbers, dtype=np.float32), bound):
        assert max(map(abs, numbers)) <= bound


def test_what_nearly_all_requests_hold_is_near() -> None:
    assert near(np.array([[396.9, -4.98, 0.0]]), 2.0**53)
    assert not near(np.array([[1.0, np.nan]]), 2.0**53)
