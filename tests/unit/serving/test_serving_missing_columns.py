"""How columns that a request lacks are told."""

from __future__ import annotations

import pytest

from fairlead.errors import Invalid
from fairlead.records import Column, Signature
from fairlead.serving.protocol.rows import parse_rows


def refusal(many: int) -> str:
    names = [f"c{number}" for number in range(many)]
    columns = tuple(Column(name=name, kind="number") for name in names)
    signature = Signature(columns=columns, target="y")
    with pytest.raises(Invalid) as refused:
        parse_rows(b'{"rows": [{}]}', signature, missing=True, most_rows=10)
    return str(refused.value)


def test_up_to_twenty_columns_that_lack_are_all_named() -> None:
    assert all(f"'c{number}'" in refusal(20) for number in range(20))


def test_of_more_the_rest_is_counted() -> None:
    assert "'c19' and 5 more" in refusal(25)
