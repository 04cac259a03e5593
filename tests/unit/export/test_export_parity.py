from typing import Any

import numpy as np
import pytest

from fairlead.training.export import parity


def _apart(rows: int, beyond: int, distance: float = 1.0) -> Any:
    trained = np.zeros(rows)
    exported = np.zeros(rows)
    exported[:beyond] = distance
    return parity(trained, exported, spread=10.0)


def test_equal_predictions_pass() -> None:
    verdict = _apart(10, 0)
    assert verdict.passed
    assert (verdict.rows, verdict.beyond, verdict.worst) == (10, 0, 0.0)


@pytest.mark.parametrize(
    ("rows", "beyond", "passed"),
    [(999, 1, False), (1000, 1, True), (1999, 2, False), (2000, 2, True), (2000, 3, False)],
)
def test_one_row_in_a_thousand_may_be_beyond_and_none_below_a_thousand(
    rows: int, beyond: int, *, passed: bool
) -> None:
    verdict = _apart(rows, beyond)
    assert (verdict.beyond, verdict.passed) == (beyond, passed)


def test_distances_are_in_standard_deviations_of_the_target() -> None:
    assert _apart(10, 1, distance=0.0009).passed
    assert not _apart(10, 1, distance=0.0011).passed
    assert _apart(10, 1, distance=5.0).worst == pytest.approx(0.5)


def test_probabilities_are_compared_as_they_are_and_by_row() -> None:
    trained = np.array([[0.2, 0.8], [0.5, 0.5]])
    verdict = parity(trained, trained + np.array([[0.01, -0.02], [0, 0]]), spread=None)
    assert (verdict.rows, verdict.beyond) == (2, 1)
    assert verdict.worst == pytest.approx(0.02)


def test_what_is_a_number_on_one_side_only_is_infinitely_far() -> None:
    one, other = np.array([1.0, np.nan]), np.array([1.0, 2.0])
    assert parity(one, other, spread=1.0).worst == np.inf
    assert not parity(other, one, spread=1.0).passed
    assert parity(one, one, spread=1.0).passed


def test_a_constant_target_has_no_spread_and_is_compared_as_it_is() -> None:
    assert parity(np.zeros(3), np.zeros(3), spread=0.0).passed
    assert not parity(np.zeros(3), np.ones(3), spread=0.0).passed


def test_no_rows_pass() -> None:
    assert parity(np.zeros(0), np.zeros(0), spread=1.0).passed
