"""Promises of precision: columns that float32 rounds are named, as numpy rounds them."""

from __future__ import annotations

import numpy as np
import pytest

from fairlead.data.features import Features
from fairlead.data.precision import WHOLE, advice, rounded
from fairlead.records import Column, Signature


def named(*columns: list[float]) -> tuple[str, ...]:
    names = [f"c{place}" for place in range(len(columns))]
    features = Features(
        numbers=np.transpose(np.array(columns, float)),
        text=np.empty((len(columns[0]), 0), np.int32),
    )
    described = Signature(
        columns=tuple(Column(name=name, kind="number") for name in names), target="y"
    )
    return rounded(features, described)


@pytest.mark.parametrize(
    ("number", "lost"),
    [
        (WHOLE, False),
        (WHOLE + 1, True),
        (-WHOLE - 1, True),
        (WHOLE + 2, False),
        (1_700_000_000, False),
        (1_700_000_001, True),
        (0.1, False),
        (np.nan, False),
        (3.4e38, True),
    ],
)
def test_a_number_beyond_the_whole_ones_is_lost_where_numpy_rounds_it(
    number: float,
    lost: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    assert named([0.0, number], [1.0, 2.0]) == (("c0",) if lost else ())
    if lost:
        assert float(np.float32(number)) != number


def test_several_columns_are_named_in_a_sentence() -> None:
    assert advice(("a", "b")).startswith("columns 'a', 'b' have numbers beyond 16,777,216")
    assert advice(("a", "b")).endswith("or leave them out (data.drop)")
