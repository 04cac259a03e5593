"""Values at ranks by counts of blocks: those that sorting all rows at once gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.families.exact_quantiles import (
    ROUNDS,
    ColumnSearch,
    advanced,
    counted,
    most_cells,
)

Column = np.ndarray[Any, np.dtype[np.float32]]
NUMBERS = st.floats(width=32, allow_nan=True, allow_infinity=False)
BITS = st.integers(0, (1 << 32) - 1)  # any float32 there is, also one of many digits


def sorted_out(column: Column, most: int) -> tuple[Column, np.float32]:
    """As `ColumnSearch.values`, of all rows sorted."""
    present = np.sort(column[~np.isnan(column)]) + np.float32(0)
    values = np.unique(present)
    if len(values) > most:
        values = np.unique(present[np.arange(most) * len(present) // most])
    return values, present[-1]


def searched(parts: Sequence[Column], most: int) -> ColumnSearch:
    searches = [ColumnSearch(most=most)]
    for _ in range(ROUNDS):
        assert searches[0].cells <= most_cells(most)
        counts = [counted([part[:, np.newaxis]], searches, slice(0, 1)) for part in parts]
        searches = advanced(searches, np.sum(counts, axis=0))
    return searches[0]


def check(column: Column, most: int, parts: int = 3) -> None:
    search = searched(np.array_split(column, parts), most)
    if not search.rows:
        assert np.isnan(column).all()
        return
    (found, largest), (wanted, last) = search.values(), sorted_out(column, most)
    assert found.tobytes() == wanted.tobytes()
    assert largest == last


@given(
    numbers=st.lists(NUMBERS, min_size=1, max_size=60),
    repeated=st.integers(1, 4),
    most=st.sampled_from([2, 3, 16, 256]),
    parts=st.integers(1, 4),
)
def test_any_numbers(numbers: list[float], repeated: int, most: int, parts: int) -> None:
    check(np.repeat(np.array(numbers, np.float32), repeated), most, parts)


@given(bits=st.lists(BITS, min_size=1, max_size=60), most=st.sampled_from([2, 16]))
def test_any_bits(bits: list[int], most: int) -> None:
    column = np.array(bits, np.uint32).view(np.float32)
    check(column[~np.isinf(column)], most)


@pytest.mark.parametrize(
    "column",
    [
        np.random.default_rng(0).standard_normal(20_000),
        np.random.default_rng(0).integers(0, 300, 20_000),
        1e6 + np.random.default_rng(0).random(20_000),  # all begin with the same bits
        np.where(np.arange(20_000) % 3, 0.5, np.random.default_rng(0).random(20_000)),
        np.where(np.arange(20_000) % 2, np.nan, np.random.default_rng(0).lognormal(size=20_000)),
    ],
    ids=["normal", "whole", "alike", "a value of many rows", "missing"],
)
@pytest.mark.parametrize("most", [16, 256, 1024])
def test_many_rows(column: Any, most: int) -> None:
    check(np.asarray(column, np.float32), most)


def test_zeros_are_one_value_whatever_their_sign() -> None:
    search = searched([np.array([0.0, -0.0, 1.0], np.float32)], 256)
    values, _ = search.values()
    assert values.tobytes() == np.array([0.0, 1.0], np.float32).tobytes()
