"""Bins that are fixed before a fit, and trees whose splits are given back as values."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import numpy as np
import pytest

from fairlead.families.exact_quantiles import counted
from fairlead.families.xgboost_bins import ColumnBins, numbered, with_values
from fairlead.families.xgboost_bins import bins_of as bins_by


def drawn(rows: int = 1000, columns: int = 4) -> np.ndarray[Any, np.dtype[np.float64]]:
    x = np.random.default_rng(0).standard_normal((rows, columns))
    x[np.random.default_rng(1).random(x.shape) < 0.05] = np.nan
    return x


def bins_of(x: np.ndarray[Any, Any], most: int) -> tuple[ColumnBins, ...]:
    return bins_by(partial(counted, [x]), x.shape[1], most)


@pytest.mark.parametrize("most", [2, 16, 256])
def test_a_column_has_no_more_bins_than_there_may_be_and_its_rows_spread_over_them(
    most: int,
) -> None:
    numbers = numbered(drawn(), bins_of(drawn(), most))
    for column in numbers.T:
        present, counts = np.unique(column[~np.isnan(column)], return_counts=True)
        assert list(present) == list(range(len(present)))
        assert 0.9 * most <= len(present) <= most
        assert counts.max() <= 2 * len(column) / most + 1


def test_a_value_that_is_missing_stays_so() -> None:
    assert (np.isnan(numbered(drawn(), bins_of(drawn(), 256))) == np.isnan(drawn())).all()


def test_numbers_rise_as_their_values_do_whatever_the_order_of_the_rows() -> None:
    x = drawn()
    bins = bins_of(x, 64)
    shuffled = bins_of(x[np.random.default_rng(2).permutation(len(x))], 64)
    for one, other in zip(bins, shuffled, strict=True):
        assert one.edges.tobytes() == other.edges.tobytes()
    for values, numbers in zip(x.T, numbered(x, bins).T, strict=True):
        order = np.argsort(values)
        rising = numbers[order][~np.isnan(values[order])]
        assert (np.diff(rising) >= 0).all()


@pytest.mark.parametrize("cells", [1, 40_000, 1 << 23])
def test_columns_that_are_searched_after_others_have_the_same_bins(cells: int) -> None:
    found = bins_by(partial(counted, [drawn()]), 4, 256, cells=cells)
    for one, other in zip(found, bins_of(drawn(), 256), strict=True):
        assert one.edges.tobytes() == other.edges.tobytes()
        assert (one.below, one.above) == (other.below, other.above)


def test_of_few_values_each_is_a_bin_of_its_own() -> None:
    x = np.array([[3.0], [1.0], [7.5], [1.0]])
    (column,) = bins_of(x, 256)
    assert column.edges.tolist() == [3.0, 7.5]
    assert numbered(x, [column]).ravel().tolist() == [1.0, 0.0, 2.0, 0.0]


def test_columns_of_one_value_and_of_none_have_one_bin() -> None:
    x = np.array([[5.0, np.nan], [5.0, np.nan]])
    one, none = bins_of(x, 256)
    assert len(one.edges) == len(none.edges) == 0
    assert one.below < 5.0 < one.above
    assert np.isnan(numbered(x, [one, none])[:, 1]).all()


def test_a_split_at_a_number_parts_the_values_as_it_parts_the_numbers() -> None:
    x = drawn(columns=1)
    bins = bins_of(x, 32)
    present = x[~np.isnan(x)].astype(np.float32)
    numbers = numbered(x, bins)[~np.isnan(x)]
    for split in (-1e-5, *range(1, 32), 62.0):
        left = present < np.float32(bins[0].value(split))
        assert (left == (numbers < np.float32(split))).all()


def test_only_splits_are_given_back_and_no_weight_of_a_leaf() -> None:
    x = np.array([[1.0], [2.0], [4.0]])
    tree = {
        "left_children": [1, -1, -1],
        "split_indices": [0, 0, 0],
        "split_conditions": [2.0, 1.0, 0.25],
    }
    model = {"learner": {"gradient_booster": {"model": {"trees": [tree]}}}}
    given = json.loads(with_values(json.dumps(model).encode(), bins_of(x, 256)))
    found = given["learner"]["gradient_booster"]["model"]["trees"][0]
    assert found["split_conditions"] == [4.0, 1.0, 0.25]
