"""Columns whose cells are not what the model gets: truth values, numbers used as text, dates.

A truth value is 1 or 0, or the text True or False; a number used as text has one text, however it
was written; a date is its parts. A whole column is read at once, since a large document may have
nothing but such cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from operator import attrgetter, itemgetter
from types import NoneType
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fairlead.data import dates
from fairlead.data.lexicon import NO_TRUTH, as_number, as_truth, meanings, meant, number_text
from fairlead.formatting import shown
from fairlead.records import DATE_PARTS, Column, Signature
from fairlead.serving.protocol.strict import Written
from fairlead.serving.protocol.wording import refused

Absent: TypeAlias = frozenset[str]
Meaning: TypeAlias = Literal["truth value", "date", "code", "truth text"]

LACKING = "is missing, and the model was trained without missing"


@dataclass(frozen=True, kw_only=True)
class TypedColumn:
    """A column whose cells are read as something else.

    Args:
        name: Of the column.
        meaning: What its cells are: a truth value that is a number, a date, a number used as text,
            or a truth value used as text.
        at: Which columns it is of the model's `numbers`, or of its `text`.
    """

    name: str
    meaning: Meaning
    at: slice

    @property
    def tensor(self) -> Literal["numbers", "text"]:
        """The model's input that it is a part of."""
        return "text" if self.meaning in {"code", "truth text"} else "numbers"

    def read(
        self, cells: Sequence[Any], absent: Absent, *, missing: bool, where: str = ""
    ) -> NDArray[Any]:
        """What the model gets of the cells.

        Args:
            cells: As they were decoded, or `Written`; None where missing.
            absent: Texts that stand for a missing one.
            missing: Whether the model takes missing numbers.
            where: Begins a message.

        Returns:
            float64 [rows, numbers of the column], a missing one NaN; or object [rows, 1], a missing
            one empty.

        Raises:
            Invalid: A cell is none of these, or is missing and may not be.
        """
        try:
            found = _READERS[self.meaning](cells, absent)
        except _OddCell as odd:
            raise refused(where, odd.row, self.name, odd.why) from None
        if not missing and self.tensor == "numbers" and np.isnan(found).any():
            row = int(np.isnan(found[:, 0]).argmax())
            raise refused(where, row, self.name, f"the {self.meaning} {LACKING} values")
        return found


def typed_columns(signature: Signature) -> tuple[TypedColumn, ...]:
    """Those of a model, in order."""
    found, width = list[TypedColumn](), {"numbers": 0, "text": 0}
    for column in signature.columns:
        tensor = "text" if column.kind == "text" else "numbers"
        at = slice(width[tensor], width[tensor] + (len(column.numbers) or 1))
        width[tensor] = at.stop
        if meaning := _meaning(column):
            found.append(TypedColumn(name=column.name, meaning=meaning, at=at))
    return tuple(found)


def _meaning(column: Column) -> Meaning | None:
    match column.kind, column.type:
        case "date", _:
            return "date"
        case "number", "boolean":
            return "truth value"
        case "text", "number":
            return "code"
        case "text", "boolean":
            return "truth text"
    return None


class _OddCell(Exception):
    """A cell that is not what its column holds."""

    def __init__(self, row: int, why: str) -> None:
        super().__init__(why)
        self.row = row
        self.why = why


def _odd_cell(cells: Sequence[Any], why_not: Callable[[Any], str | None]) -> _OddCell:
    """The first that is odd, of which there is one."""
    return next(_OddCell(row, why) for row, cell in enumerate(cells) if (why := why_not(cell)))


_NESTED = "an array or an object is no value"


# ---- truth values ---------------------------------------------------------------------------


def _truths(cells: Sequence[Any], _: Absent) -> NDArray[np.float64]:
    """1 or 0: [rows, 1]."""
    plain = [float(cell) if type(cell) is Written else cell for cell in cells]
    if set(map(type, plain)) <= _NUMBERS and set(plain) <= _TRUTHS:
        return np.array(plain, dtype=np.float64)[:, None] + 0.0  # None becomes NaN, -0.0 0.0
    raise _odd_cell(cells, _why_no_truth)


_NUMBERS = frozenset((bool, int, float, NoneType))
_TRUTHS = frozenset((0, 1, None))  # which True, 1.0 and the like are equal to


def is_odd_truth(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Where numbers are neither 1 nor 0 nor missing."""
    odd: NDArray[np.bool_] = (values != 0) & (values != 1) & ~np.isnan(values)
    return odd


def _why_no_truth(cell: Any) -> str | None:
    match cell:
        case None | bool():
            return None
        case Written():
            return None if float(cell) in {0, 1} else f"{str(cell)[:20]} is {NO_TRUTH}"
        case int() | float():
            return None if cell in {0, 1} else f"{shown(cell)} is {NO_TRUTH}"
        case str():
            return (
                f"{shown(cell)} is text, not a truth value; a truth value is written without quotes"
            )
        case _:
            return _NESTED


# ---- text -----------------------------------------------------------------------------------


def _codes(cells: Sequence[Any], absent: Absent) -> NDArray[np.object_]:
    return _texts(cells, absent, as_number)


def _truth_texts(cells: Sequence[Any], absent: Absent) -> NDArray[np.object_]:
    return _texts(cells, absent, as_truth)


def _texts(
    cells: Sequence[Any], absent: Absent, known_as: Callable[[str], str]
) -> NDArray[np.object_]:
    """Each cell's text: [rows, 1]."""
    kinds = set(map(type, cells))
    if not kinds <= _TEXTS:
        raise _odd_cell(cells, _why_no_text)
    if kinds in ({str}, {int}):  # in a fifth of the time
        texts = meanings(list(map(str, cells)), absent)
    else:
        texts = [_text(cell, absent) for cell in cells]
    found = np.empty((len(cells), 1), dtype=np.object_)
    found[:, 0] = list(map(known_as, texts))
    return found


_TEXTS = frozenset((str, Written, int, float, bool, NoneType))


def _text(cell: Any, absent: Absent) -> str:
    """A text that stands for a missing one does so as written, a number however it was written."""
    if cell is None:
        return ""
    if type(cell) is str:
        return meant(cell, absent)
    text = number_text(cell) if type(cell) is float else as_number(str(cell))
    return "" if text in absent else text


def _why_no_text(cell: Any) -> str | None:
    return None if cell is None or isinstance(cell, (str, int, float)) else _NESTED


# ---- dates ----------------------------------------------------------------------------------

_MANY = 24  # dates that take as long together as one by one
_EPOCH = date(1970, 1, 1).toordinal()
_HOUR, _ZONE = attrgetter("hour"), attrgetter("tzinfo")
_DASHES = itemgetter(slice(4, 8, 3))  # of a date that is written as year, month and day


def _dates(cells: Sequence[Any], _: Absent) -> NDArray[np.float64]:
    """The parts: [rows, DATE_PARTS]. An empty text is a missing date, as null is."""
    if not set(map(type, cells)) <= {str, NoneType}:
        raise _odd_cell(cells, _why_no_date)
    texts = [cell.strip() if cell else "" for cell in cells]
    if len(texts) < _MANY:
        return _one_by_one(texts)
    given = list(filter(None, texts))
    parts = _parts(given)
    if parts is None:
        return _one_by_one(texts)
    if len(given) == len(texts):
        return parts
    found = np.full((len(texts), len(DATE_PARTS)), np.nan)
    found[[bool(text) for text in texts]] = parts
    return found


def _parts(texts: Sequence[str]) -> NDArray[np.float64] | None:
    """As `dates.parts`, of many in a fraction of the time; None where one is no date."""
    if not texts:
        return np.empty((0, len(DATE_PARTS)))
    try:
        moments = list(map(datetime.fromisoformat, texts))
        if set(map(_DASHES, texts)) != {"--"}:
            return None
        if set(map(_ZONE, moments)) != {None}:
            moments = [moment.astimezone(UTC) if moment.tzinfo else moment for moment in moments]
    except (ValueError, OverflowError):
        return None
    count = len(moments)
    days = np.fromiter(map(datetime.toordinal, moments), np.int64, count) - _EPOCH
    return dates.parts_of(days, np.fromiter(map(_HOUR, moments), np.int64, count))


def _one_by_one(texts: Sequence[str]) -> NDArray[np.float64]:
    found = np.empty((len(texts), len(DATE_PARTS)))
    for row, text in enumerate(texts):
        try:
            found[row] = dates.parts(text)
        except ValueError as error:
            raise _OddCell(row, str(error)) from None
    return found


def _why_no_date(cell: Any) -> str | None:
    match cell:
        case Written() | bool() | int() | float():
            what = str(cell).lower()[:20]
            return f"{what} is no date; a date is a text of ISO 8601 (2020-01-31, 2020-01-31T18:30)"
        case None | str():
            return None
        case _:
            return _NESTED


_READERS: Mapping[Meaning, Callable[[Sequence[Any], Absent], NDArray[Any]]] = {
    "truth value": _truths,
    "date": _dates,
    "code": _codes,
    "truth text": _truth_texts,
}
