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
        return _between(np.asarray(table.target), is_date=False)
    shown = ", ".join(str(label)[:20] for label in table.classes[:_SHOWN])
    more = ", ..." if len(table.classes) > _SHOWN else ""
    return f"{len(table.classes)} classes: {shown}{more}"


def _summaries(table: Table) -> Iterator[ColumnSummary]:
    at = code = 0
    for column in table.columns:
        if column.kind == "text":
            yield _of_text(column, table, code)
            code += 1
        else:
            width = len(column.numbers)
            yield _of_numbers(column, table.features.numbers[:, at : at + width])
            at += width


def _of_numbers(column: Column, values: NDArray[np.float64]) -> ColumnSummary:
    is_date = column.kind == "date"
    known = values[~np.isnan(values[:, 0])]
    return ColumnSummary(
        name=column.name,
        read_as="date" if is_date else column.type or "number",
        missing=len(values) - len(known),
        encoding="date" if is_date else None,
        columns=len(DATE_PARTS) if is_date else 1,
        values=_between(known[:, -1], is_date=is_date),
    )


def _between(values: NDArray[np.float64], *, is_date: bool) -> str:
    if not len(values):
        return "none"
    low, high = float(values.min()), float(values.max())
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
