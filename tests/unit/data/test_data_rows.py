"""Rows to predict, and what is said of a file that has other columns."""

from __future__ import annotations

import io

import pytest

from fairlead.data.rows import read_rows
from fairlead.errors import InvalidData
from fairlead.records import Column, Signature


def test_a_few_of_many_missing_columns_are_named() -> None:
    columns = tuple(Column(name=f"pixel_{number}", kind="number") for number in range(64))
    with pytest.raises(InvalidData) as caught:
        read_rows(io.BytesIO(b"x\n1\n"), Signature(columns=columns, target="digit"))
    named = ", ".join(f"'pixel_{number}'" for number in range(20))
    assert str(caught.value) == (
        f"rows: the model needs the columns {named} and 44 more, which are not there"
    )
