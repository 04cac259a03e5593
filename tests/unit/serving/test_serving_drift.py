from __future__ import annotations

from bisect import bisect_right
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fairlead.serving.engine.drift import bins, edges

numbers = st.floats(allow_nan=False, width=32)


@given(st.lists(numbers, min_size=1, max_size=50), st.sets(numbers, max_size=9))
def test_rows_together_are_counted_as_they_would_be_alone(
    predicted: list[float], between: set[float]
) -> None:
    borders = tuple(sorted(between))
    alone = Counter(bisect_right(borders, value) for value in predicted)
    assert bins(np.array(predicted), borders) == dict(alone)
    for value in predicted:
        assert bins(np.array([value]), borders) == {bisect_right(borders, value): 1}


def test_classes_are_counted_by_the_most_probable_one() -> None:
    probabilities = np.array([[0.1, 0.9], [0.8, 0.2], [0.4, 0.6]], np.float32)
    assert bins(probabilities, ()) == {0: 1, 1: 2}
    assert bins(probabilities[:1], ()) == {1: 1}


def test_no_rows_are_in_no_bin() -> None:
    assert bins(np.empty(0), (1.0,)) == {}
    assert bins(np.empty((0, 3), np.float32), ()) == {}


def test_the_edges_part_predictions_into_tenths() -> None:
    predicted = np.random.default_rng(0).normal(size=10_000)
    counts = bins(predicted, edges(predicted))
    assert sorted(counts) == list(range(10))
    assert all(abs(count - 1000) <= 1 for count in counts.values())


def test_predictions_that_are_all_alike_have_one_edge() -> None:
    assert edges(np.full(100, 3.0)) == (3.0,)
    assert edges(np.empty(0)) == ()
    assert edges(np.array([np.nan, np.inf])) == ()
