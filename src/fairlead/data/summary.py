"""A table in summary: how each column was read, and what a model gets of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fairlead.data.table import Table
from fairlead.records import DATE_PARTS, Column

if TYPE_CHECKING:
    from numpy.typing import NDArray


_SHOWN = 3  # texts, or classes


@dataclass(frozen=True, kw_only=True)
class ColumnSummary:
    """One column.

    Args:
        name: Of the column.
        read_as: number, text, boolean or date.
        missing: Rows without a value.
        encoding: onehot or date; None where a model gets the numbers.
        columns: How many columns a model gets of it, over all rows.
        values: Some of the values, for a person to recognise.
    """

    name: str
    read_as: str
    missing: int
    encoding: str | None
    columns: int
    values: str


def summaries(table: Table) -> tuple[ColumnSummary, ...]:
    """The feature columns, in the order of the file."""
    return tuple(_summaries(table))


def of_target(table: Table) -> str:
    """The target's values: from the least to the largest, or the classes."""
    if table.classes is None:
        return _between(float(table.target.min()), float(table.target.max()), is_date=False)
    shown = ", ".join(str(label)[:20] for label in table.classes[:_SHOWN])
    more = ", ..." if len(table.classes) > _SHOWN else ""
    return f"{len(table.classes)} classes: {shown}{more}"


def _summaries(table: Table) -> Iterator[ColumnSummary]:
    at = code = 0
    ends = _ends(table)
    for column in table.columns:
        if column.kind == "text":
            yield _of_text(column, table, code)
            code += 1
        else:
            width = len(column.numbers)
            yield _of_numbers(column, ends.of(at), ends.of(at + width - 1))
            at += width


@dataclass(frozen=True, kw_only=True)
class _Ends:
    """What each column of numbers holds.

    Args:
        missing: Rows without a value.
        low, high: The least and the largest; infinite where there is none.
    """

    missing: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def of(self, at: int) -> tuple[int, float, float]:
        """The missing rows, the least and the largest of one column."""
        return int(self.missing[at]), float(self.low[at]), float(self.high[at])


def _ends(table: Table) -> _Ends:
    """In one pass over all rows, which may be on the disk."""
    width = table.features.numbers.shape[1]
    missing = np.zeros(width, np.int64)
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    for block in table.features.blocks():
        missing += np.isnan(block.numbers).sum(axis=0)
        low = np.fmin(low, np.fmin.reduce(block.numbers, axis=0, initial=np.inf))
        high = np.fmax(high, np.fmax.reduce(block.numbers, axis=0, initial=-np.inf))
    return _Ends(missing=missing, low=low, high=high)


def _of_numbers(
    column: Column, first: tuple[int, float, float], last: tuple[int, float, float]
) -> ColumnSummary:
    """Of a date the first part says what is missing, and the last one which days there are."""
    is_date = column.kind == "date"
    return ColumnSummary(
        name=column.name,
        read_as="date" if is_date else column.type or "number",
        missing=first[0],
        encoding="date" if is_date else None,
        columns=len(DATE_PARTS) if is_date else 1,
        values=_between(*last[1:], is_date=is_date),
    )


def _between(low: float, high: float, *, is_date: bool) -> str:
    if low > high:
        return "none"
    if not is_date:
        return f"{low:g} to {high:g}"
    days = np.array([low, high]).astype("datetime64[D]")
    return f"{days[0]} to {days[1]}"


def _of_text(column: Column, table: Table, at: int) -> ColumnSummary:
    codes, texts = table.features.text[:, at], table.features.categories[at]
    missing = int((codes < 0).sum())
    more = ", ..." if len(texts) > _SHOWN else ""
    return ColumnSummary(
        name=column.name,
        read_as=column.type or "text",
        missing=missing,
        encoding="onehot",
        columns=len(texts) + (missing > 0),
        values=", ".join(text[:20] for text in texts[:_SHOWN]) + more,
    )
