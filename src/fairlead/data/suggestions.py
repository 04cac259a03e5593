"""Ways on for a cell that is not what its column must be: which key of the spec would read it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from fairlead.data.cells import (
    CellError,
    are_words,
    date_parts,
    first_text,
    look,
    numbers,
    share_of_numbers,
)
from fairlead.data.dialect import Dialect
from fairlead.data.frame import Cells, Frame
from fairlead.formatting import listed, yaml_key

_MOSTLY = 0.5  # of a column: its other cells are likely faults then
_FEW = 20  # different texts are few in any table
_MANY = 0.5  # of the rows: more different texts than that are likely names or prose
_SOME = 1000  # cells that are looked at for dates
_TEXT = 40  # characters of a text that stands in an advice

_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:([,.' \u2019\u00a0\u202f])\d{3})+(?:([.,])\d*)?", re.ASCII)
_DATE = r"^[0-9]{1,4}([./-])[0-9]{1,2}[./-][0-9]{1,4}([ T][0-9:.]+.*)?$"
_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?", re.ASCII)


def for_numbers(frame: Frame, name: str, fault: CellError) -> str:
    """What would read the first cell that is no number; empty where the column is best text.

    Args:
        frame: Has the column.
        name: Of the column.
        fault: The cell.
    """
    cells, key = frame[name], yaml_key(name)
    if are_dates(cells):
        return (
            f"data.encode ({{{key}: date}}) uses its year, month, day of the week, hour and days "
            "since 1970"
        )
    if not isinstance(numbers(cells, frame.spelling, truths=True), CellError):
        return f"data.types ({{{key}: boolean}}) reads its truth values"
    if not pa.types.is_string(cells.type) or _WHOLE.fullmatch(fault.cell):
        return ""  # a whole number is refused for its size, and is exact as a text
    return _for_strings(frame, name, fault)


def _for_strings(frame: Frame, name: str, fault: CellError) -> str:
    cells, key = frame[name], yaml_key(name)
    share = share_of_numbers(cells, frame.spelling)
    if name in frame.text:
        return f"data.types ({{{key}: number}}) reads its numbers" if share == 1 else ""
    if share < _MOSTLY:
        return for_marks(frame, name) or _for_dates(cells, name)
    if fault.row == 0 and _begins_with_names(frame):
        return "data.header: true takes the first row for names"
    return _for_odd_cell(fault.cell, frame.dialect)


def _begins_with_names(frame: Frame) -> bool:
    """Whether the first row, which the spec says to be data, holds no number."""
    if frame.dialect is None or frame.dialect.header:
        return False
    return all(first_text(cells[:1], frame.dialect) == 0 for cells in frame.cells)


def _for_dates(cells: Cells, name: str) -> str:
    """What dates in another form than ISO 8601's ask for; empty where most are none."""
    match = pc.match_substring_regex(cells, _DATE)
    if (pc.mean(pc.cast(match, pa.uint8())).as_py() or 0.0) < _MOSTLY:
        return ""
    return (
        f"write dates as ISO 8601 does (2020-01-31), and data.encode ({{{yaml_key(name)}: date}}) "
        "uses them"
    )


def for_marks(frame: Frame, name: str) -> str:
    """The keys that read a column most of which is numbers in another dialect; mostly empty."""
    cells, dialect = frame[name], frame.dialect
    if dialect is None or (row := first_text(cells, dialect)) < 0:
        return ""
    cell = cells[row].as_py()
    marks = _marks(cell, dialect)
    decimal, thousands = (marks.get(key, getattr(dialect, key)) for key in ("decimal", "thousands"))
    other = replace(dialect, decimal=decimal, thousands=thousands)
    if not marks or share_of_numbers(cells, other) < _MOSTLY:
        return ""
    return f"{_as_keys(marks, cell)} reads it as a number"


def _for_odd_cell(cell: str, dialect: Dialect | None) -> str:
    if dialect is None:
        return "most of the column is numbers"
    if marks := _marks(cell, dialect):
        return f"{_as_keys(marks, cell)} reads it as a number"
    text = repr(cell) if len(cell) <= _TEXT else "its whole text"
    return f"data.missing with {text} in it takes it for a missing value"


def _marks(cell: str, dialect: Dialect) -> dict[str, str]:
    """The marks of a dialect that would make the cell a number, where they are not this one's."""
    grouped = _THOUSANDS.fullmatch(cell)
    if grouped and grouped[1] != (grouped[2] or dialect.decimal):
        found = {"thousands": grouped[1], "decimal": grouped[2] or dialect.decimal}
    else:
        found = {"decimal": ","} if _COMMA.fullmatch(cell) else {}
    return {key: mark for key, mark in found.items() if getattr(dialect, key) != mark}


def _as_keys(marks: Mapping[str, str], cell: str) -> str:
    """The keys of the spec, as YAML has them."""
    keys = [
        f"data.{key}: {repr(mark) if mark.isascii() else json.dumps(mark)}"
        for key, mark in marks.items()
    ]
    either = marks.get("thousands") == "," and cell.count(",") == 1 and "." not in cell
    return " with ".join(keys) + (
        " (or data.decimal: ',', if that is what the comma means)" if either else ""
    )


def for_truths(frame: Frame, name: str, *, most: int) -> str:
    """What to do about a feature of truth values of which a cell is none.

    Args:
        frame: Has the column.
        name: Of the column.
        most: Texts that may be encoded.
    """
    cells = frame[name]
    if not are_texts(cells, frame.spelling):
        return "correct the cell, or name the column in data.drop"
    way_on = for_text(frame, (name,), most=most)
    return f"its cells are texts: leave {name!r} out of data.types; {way_on}"


def are_texts(cells: Cells, dialect: Dialect) -> bool:
    """Whether no cell is a number, and most are no truth values either."""
    if not pa.types.is_string(cells.type) or share_of_numbers(cells, dialect):
        return False
    return bool(are_words(cells).mean() < _MOSTLY)


def for_odd_date(cell: str) -> str:
    """What to do about a cell that is to be a date: rewrite all of them if it is one elsewhere."""
    if re.match(_DATE, cell):
        return "write the dates of the column in this form, or name it in data.drop"
    return "correct the cell, or name the column in data.drop"


def for_text(frame: Frame, names: Sequence[str], *, most: int) -> str:
    """What to do about columns of text: which to encode, and which to leave out.

    Args:
        frame: Has the columns.
        names: Of the columns.
        most: Texts that may be encoded.
    """
    different = {name: len(pc.unique(frame[name])) for name in names}
    bound = min(most, max(_FEW, _MANY * len(frame)))
    few = [name for name in names if different[name] <= bound]
    many = [name for name in names if different[name] > bound]
    if not few:
        return f"{_are_names(many, different, len(frame))}: name {_it(many)} in data.drop"
    what = "the column" if len(few) == 1 else "the columns"
    how = listed([f"{yaml_key(name)}: onehot" for name in few])
    advice = f"name {what} in data.encode ({{{how}}}) to use {_it(few)} as text, or in data.drop"
    if not many:
        return advice
    others = listed([repr(name) for name in many])
    return f"{advice}, and {others} in data.drop ({_are_names(many, different, len(frame))})"


def _it(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _are_names(names: Sequence[str], different: Mapping[str, int], rows: int) -> str:
    has = "it has" if len(names) == 1 else "they have"
    fewest = min(different[name] for name in names)
    at_least = "" if len(names) == 1 else "at least "
    return f"{has} {at_least}{fewest} different texts in {rows} rows, as names of rows do"


def are_dates(cells: Cells) -> bool:
    """Whether the first of the cells that are there are dates."""
    if pa.types.is_string(cells.type):
        some = cells.drop_null().slice(0, _SOME)
        return len(some) > 0 and not isinstance(date_parts(some), CellError)
    return look(cells).type == "date"
