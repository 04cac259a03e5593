"""The shape of arrays is read off the names of their elements' columns."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.data.arrays import names_of, shape_of

SIZES = st.integers(1, 5)
NAMES = st.text(max_size=8).filter(lambda name: not re.search(r"_[0-9]+\Z", name))


@given(NAMES, st.tuples(SIZES, SIZES))
def test_an_image_of_one_channel_has_three_axes_as_any(name: str, shape: tuple[int, int]) -> None:
    assert shape_of(names_of(name, shape)) == (*shape, 1)


@given(st.sampled_from(["pixel", "x", "a b"]), st.tuples(SIZES, SIZES, SIZES))
def test_the_shape_that_names_were_made_of_is_read_off_them(
    name: str, shape: tuple[int, int, int]
) -> None:
    assert shape_of(names_of(name, shape)) == shape


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["age"],
        ["x_0", "x_1"],
        ["x_0_1", "x_0_0"],
        ["x_0_0", "x_0_2"],
        ["x_0_0", "x_0_01"],
        ["x_0_0", "y_0_1"],
        ["age", "x_0_0", "x_0_1"],
        ["x_0_1", "x_0_2"],
        ["x_1_0", "x_1_1"],
    ],
)
def test_columns_that_are_not_all_elements_of_one_array_have_no_shape(names: list[str]) -> None:
    assert shape_of(names) is None
