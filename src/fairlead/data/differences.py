"""The first difference between two tables that a person can look up, in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fairlead.data.table import Table
from fairlead.records import Column

if TYPE_CHECKING:
    from numpy.typing import NDArray


def difference(table: Table, expected: Table) -> str:
    """Say what differs first: rows, columns, missing values, a cell, the target."""
    return (
        _columns(table.columns, expected.columns)
        or _rows(len(table.features), len(expected.features))
        or _missing(table, expected)
        or _cell(table, expected)
        or _target(table, expected)
    )


def _columns(found: tuple[Column, ...], expected: tuple[Column, ...]) -> str:
    if len(found) != len(expected):
        return f"it has {len(found)} feature columns, not {len(expected)}"
    for at, (one, other) in enumerate(zip(found, expected, strict=True), start=1):
        if one != other:
            return f"its column {at} is {one.name!r}, not {other.name!r}"
    return ""


def _rows(found: int, expected: int) -> str:
    return "" if found == expected else f"it has {found} rows, not {expected}"


def _missing(table: Table, expected: Table) -> str:
    found, wanted = (np.isnan(t.features.numbers).sum(axis=0) for t in (table, expected))
    if (found == wanted).all():
        return ""
    at = int((found != wanted).argmax())
    name = table.signature.numbers[at]
    return f"column {name!r} is missing in {found[at]} rows, not in {wanted[at]}"


def _cell(table: Table, expected: Table) -> str:
    found, wanted = table.features.numbers, expected.features.numbers
    return _first(found, wanted, table.signature.numbers)


def _target(table: Table, expected: Table) -> str:
    found, wanted = (_values(t)[:, np.newaxis] for t in (table, expected))
    return _first(found, wanted, (table.target_name,))


def _values(table: Table) -> NDArray[Any]:
    return table.target if table.classes is None else np.array(table.classes)[table.target]


def _first(found: NDArray[Any], wanted: NDArray[Any], names: tuple[str, ...]) -> str:
    differs = (found != wanted) & ~((found != found) & (wanted != wanted))  # noqa: PLR0124 - NaN
    if not differs.any():
        return ""
    row, at = np.argwhere(differs)[0].tolist()
    return (
        f"row {row + 1}, column {names[at]!r} is {found[row, at].item()!r}, "
        f"not {wanted[row, at].item()!r}"
    )
