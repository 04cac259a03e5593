"""The plain layouts of the UCI and StatLib archives, and how a file's format is detected.

UCI files have one record a line, numbers between blanks; StatLib's have one over two lines after a
header of prose. A format is detected by content, and by name where the content leaves it open.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, TypeAlias

from fairlead.data.cells import written
from fairlead.data.delimited import check_names
from fairlead.data.frame import Frame, named
from fairlead.errors import InvalidData, InvalidSpec

Format: TypeAlias = Literal["csv", "tsv", "parquet", "statlib", "uci", "idx"]
Records: TypeAlias = Sequence[Sequence[str]]

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_HEAD = 1 << 16
_PAIR = 2


def format_of(content: bytes, name: str) -> Format:
    """Tell a file's format by its content, and by its name where the content leaves it open."""
    if content.startswith(b"PAR1") or name.endswith((".parquet", ".pq")):
        return "parquet"
    if content.startswith(b"\x00\x00") or name.endswith("-ubyte"):
        return "idx"
    if name.endswith((".tsv", ".tab")):
        return "tsv"
    if name.endswith(".csv"):
        return "csv"
    return _format_of_text(content[:_HEAD].decode("utf-8", "replace").splitlines()[:-1])


def uci(text: str, columns: Sequence[str] | None) -> Frame:
    """Read records of cells between blanks, one a line, without a header.

    Raises:
        InvalidData: The file is empty or its rows are ragged.
        InvalidSpec: `columns` do not fit.
    """
    return _frame([line.split() for line in _lines(text)], columns)


def statlib(text: str, columns: Sequence[str] | None) -> Frame:
    """Read records of numbers that stand over two lines each, after a header of prose.

    Raises:
        InvalidData: There are no records, the last is cut short, or they are ragged.
        InvalidSpec: `columns` do not fit.
    """
    rows = [line.split() for line in _lines(text)]
    start = next((index for index in range(len(rows)) if _starts_records(rows, index)), len(rows))
    halves = rows[start:]
    if len(halves) % _PAIR:
        raise InvalidData("data.source: the file is cut short: its last record has one line of two")
    pairs = zip(halves[::2], halves[1::2], strict=True)
    return _frame([[*first, *second] for first, second in pairs], columns)


def _format_of_text(lines: Sequence[str]) -> Format:
    rows = [line.split() for line in lines if line.strip()]
    if not rows or _is_record(rows[0]):
        return "uci"
    start = next((index for index in range(len(rows)) if _starts_records(rows, index)), None)
    if start is not None and _alternate(rows[start:]):
        return "statlib"
    return "tsv" if "\t" in lines[0] else "csv"


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _is_record(cells: Sequence[str]) -> bool:
    return all(_NUMBER.fullmatch(cell) for cell in cells)


def _starts_records(rows: Records, index: int) -> bool:
    return all(_is_record(row) for row in rows[index : index + _PAIR])


def _alternate(rows: Records) -> bool:
    widths = [len(row) for row in rows]
    return len(rows) >= _PAIR and widths[0] != widths[1] and widths[2:] == widths[:-2]


def _frame(records: Records, columns: Sequence[str] | None) -> Frame:
    if not records:
        raise InvalidData("data.source: the file has no records")
    width = len(records[0])
    for row, record in enumerate(records, start=1):
        if len(record) != width:
            raise InvalidData(
                f"data.source: row {row} has {len(record)} cells, and the first has {width}"
            )
    if columns is None:
        raise InvalidSpec(f"data.columns: the file has no header; name its {width} columns")
    check_names(columns, width=width)
    return named(columns, [written(list(cells)) for cells in zip(*records, strict=True)])
