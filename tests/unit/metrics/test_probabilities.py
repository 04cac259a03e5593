"""Promises of probabilities: what rounding did is corrected, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest

from fairlead.probabilities import within_bounds


def test_what_rounding_led_beyond_a_bound_is_the_bound() -> None:
    over = np.nextafter(np.float32(1), np.float32(2))
    given = np.array([[over, -1e-8], [1 + 9e-5, -9e-5], [1.0, 0.0]], np.float32)
    found = within_bounds(given)
    assert found.dtype == np.float32
    assert found.tolist() == [[1.0, 0.0]] * 3
    assert given[0, 0] == over, "what was given is not changed"


def test_probabilities_within_their_bounds_are_the_same_bits() -> None:
    given = np.array([[-0.0, 0.0, 1.0, 5e-324, np.nextafter(1.0, 0.0)]])
    assert within_bounds(given) is given


@pytest.mark.parametrize("wrong", [1.7, -0.2, 1 + 2e-4, np.inf, -np.inf, np.nan])
def test_what_rounding_cannot_have_made_is_left_to_whoever_scores_it(wrong: float) -> None:
    found = within_bounds(np.array([[wrong, 1 + 1e-9]]))
    assert np.array_equal(found, [[wrong, 1.0]], equal_nan=True)
