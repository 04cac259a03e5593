"""CSV and TSV: records of cells between separators, with a header or with names from the spec."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv

from fairlead.data.cells import first_text, written
from fairlead.data.frame import Cells, Frame, named
from fairlead.errors import InvalidData, InvalidSpec

_SEPARATORS = (",", ";", "|", "\t")
_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")


def separator_of(text: str) -> str:
    """The separator that a CSV file's first line uses; a comma where it uses none."""
    line = next(
        (found.group() for found in _LINE.finditer(text) if found.group().strip("\r\n")), ""
    )
    outside = "".join(line.split('"')[::2])
    return next((separator for separator in _SEPARATORS if separator in outside), ",")


def parse(
    text: str, *, separator: str, columns: Sequence[str] | None = None, before: int = 0
) -> Frame:
    """Read CSV.

    Args:
        text: The file.
        separator: One character.
        columns: Names, where the file has no header.
        before: Rows that came before, where the text is a part of a file.

    Raises:
        InvalidData: There is no header, rows are ragged, or names repeat.
        InvalidSpec: `columns` are more or fewer than the file has.
    """
    first = _first_record(text, separator)
    headed = columns is None or tuple(first) == tuple(columns)
    records = _records(text, separator, width=len(first), before=before - headed)
    if columns is None:
        _check_header(first)
        return named(first, [cells.slice(1) for cells in records])
    check_names(columns, width=len(first))
    return named(columns, [cells.slice(int(headed)) for cells in records])


def has_header(text: str, *, separator: str) -> bool:
    """Whether the first record holds some text, as names are.

    Raises:
        InvalidData: The file is empty.
    """
    return first_text(written(_first_record(text, separator))) is not None


def check_names(columns: Sequence[str], *, width: int) -> None:
    """Refuse names that do not fit the file.

    Raises:
        InvalidSpec: They are more or fewer than its columns.
    """
    if len(columns) != width:
        raise InvalidSpec(f"data.columns: names {len(columns)} columns, and the file has {width}")


def _first_record(text: str, separator: str) -> list[str]:
    limit = csv.field_size_limit(len(text) + 1)
    try:
        lines = (line.group() for line in _LINE.finditer(text))  # the file may be large
        records = csv.reader(lines, delimiter=separator)
        first = next((record for record in records if record), None)
    finally:
        csv.field_size_limit(limit)
    if first is None:
        raise InvalidData("data.source: the file is empty")
    return [cell.strip() for cell in first]


def _check_header(first: Sequence[str]) -> None:
    if first_text(written(list(first))) is None:
        raise InvalidData(
            f"data.source: the first row ({', '.join(first[:3])}, ...) holds numbers, not names; "
            "name the columns in data.columns"
        )


def _records(text: str, separator: str, *, width: int, before: int) -> list[Cells]:
    ragged: list[Any] = []

    def remember(row: Any) -> str:
        ragged.append(row)
        return "error"

    names = [f"f{index}" for index in range(width)]
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(text.encode()),
            # one thread: only then does Arrow know the number of a ragged row
            read_options=pyarrow.csv.ReadOptions(column_names=names, use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=separator, newlines_in_values='"' in text, invalid_row_handler=remember
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        says = _ragged(ragged[0], before) if ragged else _malformed(error)
        raise InvalidData(says) from error
    return [written(column.combine_chunks()) for column in table.columns]


def _ragged(row: Any, before: int) -> str:
    return (
        f"data.source: row {before + row.number} has {row.actual_columns} cells, and the first "
        f"has {row.expected_columns}: {row.text[:60]!r}"
    )


def _malformed(error: pa.ArrowInvalid) -> str:
    return f"data.source: the file cannot be read as CSV: {' '.join(str(error).split())[:200]}"
