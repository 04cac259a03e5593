"""Cells: one column of a file as numbers, as text, or as dates.

Which texts are numbers, and which numbers are refused because a model would not get the value that
the file has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fairlead.data import dates
from fairlead.data.dialect import PLAIN, Dialect
from fairlead.data.frame import Cells
from fairlead.data.lexicon import (
    EMPTY,
    FALSE,
    LARGEST,
    LARGEST_WHOLE,
    MISSING,
    NO_TRUTH,
    TRUE,
    as_number,
    as_truth,
    number_text,
)
from fairlead.records import DATE_PARTS, CellType

if TYPE_CHECKING:
    from numpy.typing import NDArray

FoundType: TypeAlias = Literal["number", "text", "boolean", "date", "other"]

_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_A_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_FIRST_DAY, _LAST_DAY = ((day - date(1970, 1, 1)).days for day in (date.min, date.max))


@dataclass(frozen=True, kw_only=True)
class CellError:
    """A cell that is not what its column must be."""

    row: int  # from 0
    cell: str
    why: str


def written(strings: Sequence[str | None] | Cells, missing: Sequence[str] = MISSING) -> Cells:
    """Cells of a text file: without the blanks around them, missing ones as null."""
    array = _array(strings) if isinstance(strings, (list, tuple)) else strings
    return without(pc.utf8_trim_whitespace(array), missing)


def without(cells: Cells, missing: Sequence[str]) -> Cells:
    """The cells with these strings as null."""
    if not missing or not pa.types.is_string(cells.type):
        return _one(cells)
    nothing = pc.is_in(cells, value_set=_array(missing))
    return _one(pc.if_else(nothing, _scalar(None, pa.string()), cells))


# pa.array, pa.scalar and to_numpy would import pandas first, where it is installed: half a second.


def _array(strings: Sequence[str | None]) -> Cells:
    builder = pa.lib.StringBuilder()
    builder.append_values(strings)
    return builder.finish()


def _scalar(text: str | None, kind: pa.DataType) -> pa.Scalar[Any]:
    return pc.cast(_array([text]), kind)[0]


def _numpy(cells: Cells, missing: str) -> NDArray[Any]:
    """Numbers as an array that cannot be written to, missing ones as this number."""
    filled = pc.fill_null(cells, _scalar(missing, cells.type)) if cells.null_count else cells
    return np.from_dlpack(_one(filled))


def typed(array: Cells) -> Cells:
    """Cells of a file that says what they are; text without the blanks around it."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return typed(_one(array).dictionary_decode())
    if pa.types.is_null(kind):
        return pa.nulls(len(array), pa.float64())
    if pa.types.is_float16(kind):
        return _one(pc.cast(array, pa.float64()))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return written(pc.cast(array, pa.string()), missing=EMPTY)
    return _one(array)


# ---- types ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a column's cells are, and their numbers where these had to be made to find out."""

    type: FoundType
    values: NDArray[np.float64] | None = None


def look(cells: Cells, dialect: Dialect = PLAIN) -> Look:
    """What a column's cells are, by the file's word or, where they are strings, by their look.

    Strings are numbers where each is one and none has leading zeros, and truth values where each
    is true or false.
    """
    if pa.types.is_string(cells.type):
        return _look(cells, dialect)
    return Look(type=typed_as(cells.type))


def typed_as(kind: pa.DataType) -> FoundType:
    """What cells of a type are that is not of strings."""
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    return "date" if pa.types.is_date(kind) or pa.types.is_timestamp(kind) else "other"


def _look(strings: Cells, dialect: Dialect) -> Look:
    try:
        values = _floats(strings, dialect)
    except pa.ArrowInvalid:
        return Look(type="boolean" if _are_truths(strings) else "text")
    if first_zero(strings, values) is not None:
        return Look(type="text")
    return Look(type="number", values=values)


def first_zero(strings: Cells, values: NDArray[np.float64] | None = None) -> int | None:
    """Index of the first cell of digits with a leading zero, such as 007; None where none is.

    Args:
        strings: The cells.
        values: Their numbers, where they are known: few cells need to be looked at then.
    """
    begins = pc.fill_null(pc.starts_with(strings, "0"), fill_value=False)
    at = np.flatnonzero(_bools(pc.and_(begins, pc.greater(pc.binary_length(strings), 1))))
    if values is not None:
        at = at[(np.abs(values[at]) >= 1) | (values[at] == 0)]
    if not len(at):
        return None
    first = pc.index(pc.match_substring_regex(strings, r"^0[0-9]+$"), value=True).as_py()
    return int(first) if first >= 0 else None


def _bools(cells: Cells) -> NDArray[np.bool_]:
    known = pc.cast(pc.fill_null(cells, fill_value=False), pa.uint8())
    return np.from_dlpack(_one(known)).astype(np.bool_)


def _are_truths(strings: Cells) -> bool:
    some = [text for text in pc.unique(strings).to_pylist()[: _TRUTHS + 1] if text is not None]
    return bool(some) and len(some) <= _TRUTHS and set(some) <= {*TRUE, *FALSE}


_TRUTHS = len(TRUE) + len(FALSE) + 1


# ---- numbers --------------------------------------------------------------------------------


def numbers(
    cells: Cells,
    dialect: Dialect = PLAIN,
    *,
    truths: bool = False,
    values: NDArray[np.float64] | None = None,
) -> NDArray[np.float64] | CellError:
    """The cells as float64 [rows], a missing one NaN; or the first that is refused.

    Args:
        cells: Of one column.
        dialect: How numbers are written.
        truths: Whether they are truth values: 1 for a true one, 0 for a false one.
        values: The numbers, where they were made before.
    """
    if truths:
        return _truth_numbers(cells, dialect)
    found = "number" if pa.types.is_string(cells.type) else typed_as(cells.type)
    if found != "number":
        return first_of(cells, _WHY_NOT.get(found, f"{cells.type}, not a number"))
    try:
        values = _floats(cells, dialect) if values is None else values
    except pa.ArrowInvalid:
        return _fault(cells, first_text(cells, dialect), "text, not a number")
    return _in_range(cells, _without_missing(values, dialect), dialect)


def _without_missing(values: NDArray[np.float64], dialect: Dialect) -> NDArray[np.float64]:
    """A number that stands for a missing one does so however it is written: 999 and 999.0."""
    words = [float(text) for text in _missing_numbers(dialect)]
    return np.where(np.isin(values, words), np.nan, values) if words else values


def _missing_numbers(dialect: Dialect) -> list[str]:
    """Those of the texts that are numbers in the dialect, with a point."""
    return [_with_point(text, dialect) for text in dialect.missing if is_number_in(text, dialect)]


_WHY_NOT = {"boolean": "a truth value, not a number", "date": "a date, not a number"}


def _in_range(
    cells: Cells, values: NDArray[np.float64], dialect: Dialect
) -> NDArray[np.float64] | CellError:
    beyond = _first_beyond(cells, values, dialect)
    if beyond is not None:
        what = "decimal" if getattr(cells.type, "scale", 0) > 0 else "whole number"
        return _fault(cells, beyond, f"a {what} beyond 2**53, which is not kept exactly")
    infinite = np.isinf(values)
    if infinite.any():
        return _fault(cells, int(infinite.argmax()), "not a finite number")
    huge = np.abs(values) > LARGEST
    if huge.any():
        return _fault(cells, int(huge.argmax()), "beyond 3.4e38, the largest number of a model")
    return values + 0.0  # -0.0 and 0.0 say the same


def _truth_numbers(cells: Cells, dialect: Dialect) -> NDArray[np.float64] | CellError:
    if pa.types.is_boolean(cells.type):
        return _numpy(pc.cast(cells, pa.float64()), missing="nan") + 0.0
    if pa.types.is_string(cells.type):
        cells = _mapped(cells, lambda text: {"True": "1", "False": "0"}.get(as_truth(text), text))
    values = numbers(cells, dialect)
    if isinstance(values, CellError):
        return values if values.why != "text, not a number" else _no_truth(cells, values.row)
    odd = ~np.isnan(values) & (values != 0) & (values != 1)
    return _no_truth(cells, int(odd.argmax())) if odd.any() else values


def _no_truth(cells: Cells, row: int) -> CellError:
    return _fault(cells, row, NO_TRUTH)


def are_words(strings: Cells) -> NDArray[np.bool_]:
    """Which of the strings are truth values in words, bool [rows]."""
    return _bools(pc.is_in(strings, value_set=_array([*TRUE, *FALSE])))


def first_text(strings: Cells, dialect: Dialect = PLAIN) -> int:
    """Index of the first string that is no number; -1 where there is none."""
    odd = pc.invert(pc.match_substring_regex(strings, _pattern(dialect)))
    return int(pc.index(odd, value=True).as_py())


def is_number_in(text: str, dialect: Dialect) -> bool:
    """Whether a text is a number as the dialect writes them."""
    return re.match(_pattern(dialect), text, re.ASCII) is not None


def share_of_numbers(strings: Cells, dialect: Dialect = PLAIN) -> float:
    """How many of the strings that are there are numbers, as a share."""
    match = pc.match_substring_regex(strings, _pattern(dialect))
    return float(pc.mean(pc.cast(match, pa.uint8())).as_py() or 0.0)


def _pattern(dialect: Dialect) -> str:
    point, between = re.escape(dialect.decimal), dialect.thousands
    whole = r"\d+" if between is None else rf"(?:\d{{1,3}}(?:{re.escape(between)}\d{{3}})+|\d+)"
    return rf"^[+-]?(?:{whole}{point}?\d*|{point}\d+)(?:[eE][+-]?\d+)?$"


def _floats(cells: Cells, dialect: Dialect = PLAIN) -> NDArray[np.float64]:
    """Raises pyarrow.ArrowInvalid where a string is no number."""
    if not pa.types.is_string(cells.type):
        return _numpy(pc.cast(cells, pa.float64(), safe=False), missing="nan")
    values = _numpy(pc.cast(_plain(cells, dialect), pa.float64(), safe=False), missing="nan")
    if np.count_nonzero(np.isnan(values)) > cells.null_count:
        raise pa.ArrowInvalid("nan stands for a missing number only where data.missing has it")
    return values


def _plain(strings: Cells, dialect: Dialect) -> Cells:
    """Strings of numbers with a point, and nothing between thousands."""
    if dialect.is_plain:
        return strings
    if first_text(strings, dialect) >= 0:
        raise pa.ArrowInvalid("a string is no number in this dialect")
    if dialect.thousands is not None:
        strings = pc.replace_substring(strings, dialect.thousands, "")
    return pc.replace_substring(strings, dialect.decimal, ".")


def _first_beyond(cells: Cells, values: NDArray[np.float64], dialect: Dialect) -> int | None:
    if pa.types.is_floating(cells.type):
        return None
    for row in np.flatnonzero(np.abs(values) >= LARGEST_WHOLE).tolist():
        cell = (
            str(_plain(cells[row : row + 1], dialect)[0])
            if pa.types.is_string(cells.type)
            else _exact(cells[row].as_py())
        )
        # the nearest float64 of 2**53 + 1 is 2**53; int() takes 4,300 digits
        if _WHOLE.fullmatch(cell) and (
            abs(values[row]) > LARGEST_WHOLE or int(cell.lstrip("+-0")) > LARGEST_WHOLE
        ):
            return int(row)
        if pa.types.is_decimal(cells.type) and abs(values[row]) > LARGEST_WHOLE:
            return int(row)
    return None


def _exact(value: Any) -> str:
    """A whole number or a decimal, with every digit and without zeros behind the point."""
    text = f"{value:f}" if not isinstance(value, int) else str(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


# ---- text -----------------------------------------------------------------------------------


def known_by(found: FoundType) -> CellType | None:
    """What such cells are known by where they are used as text; None: as they are written."""
    return found if found in {"number", "boolean"} else None


def texts(cells: Cells, kind: CellType | None = None, dialect: Dialect = PLAIN) -> Cells:
    """The cells as strings.

    Args:
        cells: Of one column.
        kind: What they stand for: a number is known by one text however it is written (1, 1.0),
            and so is a truth value (True, true); other texts are as they were written.
        dialect: How numbers are written.
    """
    if pa.types.is_boolean(cells.type):
        return _one(pc.if_else(cells, "True", "False"))
    strings = _strings(cells)
    if kind == "number":
        said = _mapped(strings, lambda text: as_number(_with_point(text, dialect)))
        return without(said, [as_number(text) for text in _missing_numbers(dialect)])
    return _mapped(strings, as_truth) if kind == "boolean" else strings


def _strings(cells: Cells) -> Cells:
    if pa.types.is_floating(cells.type):
        return _number_texts(cells)
    if pa.types.is_decimal(cells.type):
        return _array([None if v is None else _exact(v) for v in cells.to_pylist()])
    return pc.cast(cells, pa.string())


def _with_point(text: str, dialect: Dialect) -> str:
    if dialect.is_plain or not is_number_in(text, dialect):
        return text
    return text.replace(dialect.thousands or "", "").replace(dialect.decimal, ".")


def _number_texts(cells: Cells) -> Cells:
    known = pc.if_else(pc.is_nan(cells), _scalar(None, cells.type), cells)
    return _mapped(pc.cast(known, pa.string()), lambda text: number_text(float(text)))


def _mapped(strings: Cells, meaning: Callable[[str], str]) -> Cells:
    different = pc.unique(strings)
    said = [None if text is None else meaning(text) for text in different.to_pylist()]
    return pc.take(_array(said), pc.index_in(strings, value_set=different))


def coded(strings: Cells) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Strings as codes.

    Returns:
        int32 [rows], indexes into the categories (a missing text is -1); the categories, sorted.
    """
    categories = sorted(text for text in pc.unique(strings).to_pylist() if text is not None)
    codes = pc.index_in(strings, value_set=_array(categories))
    return _numpy(codes, missing="-1").astype(np.int32), tuple(categories)


# ---- dates ----------------------------------------------------------------------------------


def date_parts(cells: Cells) -> NDArray[np.float64] | CellError:
    """The parts of each date, float64 [rows, DATE_PARTS], NaN where it is missing.

    A string is a date of ISO 8601. A moment with a time zone counts in UTC.
    """
    if typed_as(cells.type) == "date":
        return _parts_of(cells)
    if cells.null_count == len(cells):
        return np.full((len(cells), len(DATE_PARTS)), np.nan)
    if not pa.types.is_string(cells.type):
        return first_of(cells, "a number, not a date of ISO 8601 (2020-01-31)")
    different = pc.unique(cells)
    parsed = np.empty((len(different), len(DATE_PARTS)))
    for at, text in enumerate(different.to_pylist()):
        try:
            parsed[at] = dates.parts(text or "")
        except ValueError:
            row = int(pc.index(cells, different[at]).as_py())
            return _fault(cells, row, _no_date(text))
    codes = pc.index_in(cells, value_set=different)
    return parsed[_numpy(codes, missing="0").astype(np.intp)]


def _no_date(text: str) -> str:
    how = "; pandas writes one with date_format='iso'" if text.isdigit() else ""
    return f"{dates.NO_DATE}{how}"


def _parts_of(cells: Cells) -> NDArray[np.float64] | CellError:
    unit, width = _ticks(cells.type)
    ticks = _numpy(pc.cast(pc.cast(cells, width), pa.int64()), missing="0")
    days, rest = np.divmod(ticks, unit)
    beyond = (days < _FIRST_DAY) | (days > _LAST_DAY)
    if beyond.any():
        return _fault(cells, int(beyond.argmax()), "beyond the years 1 to 9999")
    parts = dates.parts_of(days, rest * 24 // unit)
    parts[_bools(pc.is_null(cells))] = np.nan
    return parts


def _ticks(kind: pa.DataType) -> tuple[int, pa.DataType]:
    """How many ticks a day has, and the type of whole numbers of the same width."""
    if pa.types.is_date32(kind):
        return 1, pa.int32()
    return (_A_DAY["ms"] if pa.types.is_date64(kind) else _A_DAY[kind.unit]), pa.int64()


# ---- faults ---------------------------------------------------------------------------------


def _one(array: Cells) -> Cells:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _fault(cells: Cells, row: int, why: str) -> CellError:
    return CellError(row=row, cell=_shown(cells, row), why=why)


def _shown(cells: Cells, row: int) -> str:
    """A cell in a message. Dates may be beyond those that Python has."""
    if typed_as(cells.type) == "date":
        return str(pc.cast(cells[row : row + 1], pa.string())[0])
    return str(cells[row].as_py())


def first_of(cells: Cells, why: str) -> CellError:
    """The first cell that is not missing; the first of all where all are."""
    return _fault(cells, max(0, int(pc.index(pc.is_valid(cells), value=True).as_py())), why)
