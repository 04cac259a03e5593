"""Plain rows, read slowly and cell by cell, as they were written.

It knows how each number was written. So it reads a fraction or a truth value where text is wanted
as `fairlead predict` does, and sees a large whole number that float64 cannot hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from math import nan
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from fairlead.errors import Invalid
from fairlead.formatting import lacking, shown
from fairlead.serving.protocol import strict
from fairlead.serving.protocol.intake import Intake, check_rows, number
from fairlead.serving.protocol.strict import Written
from fairlead.serving.protocol.wording import hint, refused

_FIELDS = ("rows", "columns")


class Found(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Rows in the order of the model's columns.

    Args:
        numbers: float64 [rows, number columns], a missing one NaN.
        text: [rows][text columns], a missing one None.
        rows: How many.
        typed: [typed columns][rows], as they were decoded or written.
    """

    numbers: NDArray[np.float64]
    text: Sequence[Sequence[str | int | None]]
    rows: int
    typed: Sequence[Sequence[Any]] = ()


def read(body: bytes, model: Intake, most_rows: int) -> Found:
    """Read plain rows, however they are written.

    Raises:
        Invalid: In one line, with row and column.
        TooLarge: There are too many rows.
    """
    rows, columns = _document(strict.written(body))
    check_rows(len(rows), most_rows)
    if columns is not None:
        check_columns(columns, model)
    named = [_named(row, columns, model, at) for at, row in enumerate(rows)]
    width = len(model.numbers)
    numbers = [[_number(row[n], n, at) for n in model.numbers] for at, row in enumerate(named)]
    return Found(
        numbers=np.array(numbers, dtype=np.float64).reshape(len(rows), width),
        text=[[_text(row[n], n, at) for n in model.text] for at, row in enumerate(named)],
        typed=[[row[column.name] for row in named] for column in model.typed],
        rows=len(rows),
    )


def _instead(body: Any) -> str:
    """What was sent in place of rows."""
    if not isinstance(body, dict):
        return "it is a list" if isinstance(body, list) else "it is one value"
    if "rows" in body:
        return "`rows` is not a list"
    return f"it has the key {shown(next(iter(body)))}" if body else "it is empty"


def _document(body: Any) -> tuple[list[Any], list[str] | None]:
    """Its rows and columns."""
    if not isinstance(body, dict) or not isinstance(body.get("rows"), list):
        raise Invalid(
            'the body is not {"rows": [{column: value, ...}, ...]}, nor '
            f'{{"columns": [name, ...], "rows": [[value, ...], ...]}}: {_instead(body)}'
        )
    odd = next((key for key in body if key not in _FIELDS), None)
    if odd is not None:
        raise Invalid(f"the body has the key {shown(odd)}, which says nothing{hint(odd, _FIELDS)}")
    columns = body.get("columns")
    if columns is not None and not _are_names(columns):
        raise Invalid("`columns` is not a list of names")
    return body["rows"], columns


def _are_names(columns: object) -> bool:
    return isinstance(columns, list) and all(type(name) is str for name in columns)


def _named(row: Any, columns: Sequence[str] | None, model: Intake, at: int) -> dict[str, Any]:
    if columns is None:
        if not isinstance(row, dict):
            raise Invalid(f"row {at + 1} is no object of column names and values")
        _check_names(row, model, f"row {at + 1}: ")
        return row
    if not isinstance(row, list):
        raise Invalid(f"row {at + 1} is no array, as `columns` asks for")
    if len(row) != len(columns):
        raise Invalid(f"row {at + 1} has {len(row)} values where `columns` names {len(columns)}")
    return dict(zip(columns, row, strict=True))


def _number(cell: Any, column: str, row: int) -> float:
    if isinstance(cell, Written):
        try:
            return number(cell)
        except ValueError as error:
            raise refused("", row, column, str(error)) from None
    if cell is None:
        return nan
    raise refused("", row, column, _no_number(cell))


def _no_number(cell: Any) -> str:
    match cell:
        case bool():
            return f"{str(cell).lower()} is a truth value, not a number; write {int(cell)}"
        case str():
            return f"{shown(cell)} is text, not a number; a number is written without quotes"
        case _:
            return "an array or an object is no value"


def _text(cell: Any, column: str, row: int) -> str | None:
    """A number is the text that it was written as; a truth value is True or False."""
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return str(cell)
    raise refused("", row, column, "an array or an object is no value")


# ---- names of columns -----------------------------------------------------------------------


def check_columns(columns: Sequence[str], model: Intake) -> None:
    """Refuse names that are not the model's columns, each once, in any order.

    Raises:
        Invalid: Names the first that is not, or is twice, or those that lack.
    """
    some = columns[: len(model.known) + 1]  # of more, one among these is strange or twice
    twice = [name for name, times in Counter(some).items() if times > 1]
    if twice:
        raise Invalid(f"`columns` names {shown(twice[0])} twice")
    _check_names(dict.fromkeys(some), model, "`columns`: ")


def check_named(rows: Sequence[Any], columns: Sequence[str] | None, model: Intake) -> None:
    """Refuse rows that are not of the model's columns, whatever their values.

    Args:
        rows: As they were decoded.
        columns: Their names, checked; None where each row has names of its own.
        model: What the model takes.

    Raises:
        Invalid: Says what is wrong with the first such row.
    """
    for at, row in enumerate(rows):
        arrays = type(row) is list
        if (
            arrays == (columns is None)
            or len(row) != len(model.known)
            or not (arrays or row.keys() == model.known)
        ):
            _named(row, columns, model, at)


def check_numbers(rows: Sequence[Sequence[Any]], model: Intake) -> None:
    """Refuse numbers that are none.

    Args:
        rows: Values of the number columns, as they were decoded.
        model: What the model takes.

    Raises:
        Invalid: Names the first.
    """
    for at, row in enumerate(rows):
        for cell, column in zip(row, model.numbers, strict=True):
            if type(cell) is str or type(cell) is bool:
                raise refused("", at, column, _no_number(cell))


def _check_names(names: Collection[str], model: Intake, where: str) -> None:
    extra = next((name for name in names if name not in model.known), None)
    if extra is not None:
        raise Invalid(
            f"{where}the model takes no column {shown(extra)}{hint(extra, model.columns)}"
        )
    if len(names) < len(model.known):
        wanted = [name for name in model.columns if name not in names]
        raise Invalid(f"{where}the model needs {lacking(wanted)}")
