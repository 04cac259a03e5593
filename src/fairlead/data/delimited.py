"""CSV and TSV: records of cells between separators, with a header or with names from the spec.

The separator is found in the first records; whether the first one has the names is asked of those
below it.
"""

from __future__ import annotations

import csv
import itertools
import operator
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from fairlead.data.cells import first_text, is_number_in, written
from fairlead.data.dialect import Dialect
from fairlead.data.frame import Cells, Frame, named
from fairlead.data.lexicon import MISSING, NUMBER
from fairlead.errors import InvalidData, InvalidSpec

SEPARATORS = (",", ";", "|", "\t")
_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_NUMERIC = re.compile(r"[+-]?[0-9][0-9.,' ]*(?:[eE][+-]?[0-9]+)?")  # with whatever marks
_LOOKED_AT = 20  # records, to find the separator
_COMPARED = 1000  # records that a header is compared with
_BLOCK = 1 << 28  # bytes that are parsed at once
_SHOWN = 3  # cells of a record, in a message
_BEGUN = 40  # characters of each
WAY_ON = (
    "data.columns gives others; say data.header: true (if it has names, which those of "
    "data.columns replace) or data.header: false (if it is data)"
)
_DATA = "looks like data, not like names"


def separator_of(text: str, decimal: str = ".") -> str:
    """The separator of a CSV file: it parts each of the first records into as many cells.

    Where several do, it is the one with the most numbers between them and the fewest other cells
    (1,5;2,5 is two), and of equals the first that the first line has outside of quotes, as where
    none does; a comma where it has none.

    Args:
        text: The file.
        decimal: What comes before the fraction of a number: no separator.
    """
    first = {one: _first_records(text, one) for one in SEPARATORS if one != decimal}
    even = {one: records for one, records in first.items() if _are_even(records)}
    if even:
        best = max(map(_likeness, even.values()))
        first = {one: records for one, records in even.items() if _likeness(records) == best}
    line = next(
        (found.group() for found in _LINE.finditer(text) if found.group().strip("\r\n")), ""
    )
    outside = "".join(line.split('"')[::2])
    return next((one for one in first if one in outside), next(iter(even), ","))


def _first_records(text: str, separator: str) -> list[list[str]]:
    return list(itertools.islice(_reader(text, separator), _LOOKED_AT))


def _are_even(records: Sequence[Sequence[str]]) -> bool:
    return len({len(record) for record in records}) == 1 and len(records[0]) > 1


def _likeness(records: Sequence[Sequence[str]]) -> tuple[int, int]:
    """How much they look like a table: how many numbers there are, among how few other cells."""
    cells = [cell.strip() for record in records for cell in record]
    found = sum(bool(_NUMERIC.fullmatch(cell)) for cell in cells)
    return found, (found - len(cells) if found else 0)


def _reader(text: str, separator: str) -> Iterator[list[str]]:
    """The records that are not empty; the file may be large."""
    limit = csv.field_size_limit(len(text) + 1)
    try:
        lines = (line.group() for line in _LINE.finditer(text))
        yield from (record for record in csv.reader(lines, delimiter=separator) if record)
    finally:
        csv.field_size_limit(limit)


def parse(
    text: str,
    dialect: Dialect,
    *,
    before: int = 0,
    wanted: Collection[str] | None = None,
    way_on: str = WAY_ON,
) -> Frame:
    """Read CSV.

    Args:
        text: The file.
        dialect: How it is written.
        before: Rows that came before, where the text is a part of a file.
        wanted: Columns that are used; all if None.
        way_on: The end of what is said where the first record looks like names, and `columns`
            gives others.

    Raises:
        InvalidData: There is no header, rows are ragged, or names repeat.
        InvalidSpec: `columns` are more or fewer than the file has.
    """
    separator = dialect.separator or separator_of(text, dialect.decimal)
    first = first_record(text, separator)
    names, headed = _names(first, dialect)
    text = text if text.endswith(("\r", "\n")) else f"{text}\n"
    records = _records(text, separator, width=len(first), before=before - headed)
    _check_closed(text, records, names, before=before - headed)
    cells = [written(column.slice(int(headed)), dialect.missing) for column in records]
    if dialect.header is None and dialect.columns is None:
        _check_header(first, cells, dialect)
    elif dialect.header is None and not headed:
        _check_no_header(first, cells, dialect, way_on)
    return named(names, cells, dialect, wanted=wanted)


def first_record(text: str, separator: str) -> list[str]:
    """The cells of the first record, without the blanks around them.

    Raises:
        InvalidData: The file is empty.
    """
    first = next(_reader(text, separator), None)
    if first is None:
        raise InvalidData("data.source: the file is empty")
    return [cell.strip() for cell in first]


def _names(first: Sequence[str], dialect: Dialect) -> tuple[Sequence[str], bool]:
    """Names of the columns, and whether the first record has them."""
    given, header = dialect.columns, dialect.header
    if given is not None:
        check_names(given, width=len(first))
        return given, tuple(first) == tuple(given) if header is None else header
    if header is False:
        return column_names(len(first)), False
    return first, True


def column_names(width: int) -> list[str]:
    """What columns are called that neither the file nor the spec names."""
    return [f"column_{at}" for at in range(1, width + 1)]


def has_names(text: str) -> bool:
    """Whether the first record holds some text, as names are.

    Raises:
        InvalidData: The file is empty.
    """
    return not _all_numbers(first_record(text, separator_of(text)))


def _all_numbers(cells: Sequence[str]) -> bool:
    return all(NUMBER.fullmatch(cell) for cell in cells if cell not in MISSING)


def check_names(columns: Sequence[str], *, width: int) -> None:
    """Refuse names that do not fit the file.

    Raises:
        InvalidSpec: They are more or fewer than its columns.
    """
    if len(columns) != width:
        raise InvalidSpec(f"data.columns: names {len(columns)} columns, and the file has {width}")


def _check_header(first: Sequence[str], cells: Sequence[Cells], dialect: Dialect) -> None:
    """Refuse a first record that looks like the others: the file may have no header.

    A name above numbers shows a header. Without one, a number above numbers shows data, and so
    does a text that its own column has again.
    """
    is_number = [is_number_in(name, dialect) for name in first]
    is_missing = [name in dialect.missing or not name for name in first]
    if all(map(operator.or_, is_number, is_missing)):
        raise _no_header(first, "holds numbers, not names")
    compared = [column.slice(0, _COMPARED) for column in cells]
    numeric = [
        first_text(column, dialect) < 0 and column.null_count < len(column) for column in compared
    ]
    like = [
        name
        for name, number, column, of_numbers in zip(
            first, is_number, compared, numeric, strict=True
        )
        if (number if of_numbers else name and pc.index(column, name).as_py() >= 0)
    ]
    above = any(
        of_numbers and not number and not missing
        for of_numbers, number, missing in zip(numeric, is_number, is_missing, strict=True)
    )
    if like and not above:
        raise _no_header(first, _DATA)


def _check_no_header(
    first: Sequence[str], cells: Sequence[Cells], dialect: Dialect, way_on: str
) -> None:
    """Refuse a first record that may have names: texts that their own columns never have again."""
    below = [column.slice(1, _COMPARED) for column in cells]
    is_number = (is_number_in(name, dialect) for name in first)
    is_missing = (name in dialect.missing or not name for name in first)
    if not len(below[0]) or any(is_number) or any(is_missing):
        return
    if all(pc.index(column, name).as_py() < 0 for name, column in zip(first, below, strict=True)):
        more = ", ..." if len(first) > _SHOWN else ""
        raise InvalidData(
            f"data.source: the first row ({_begun(first)}{more}) looks like names, and {way_on}"
        )


def _no_header(first: Sequence[str], why: str) -> InvalidData:
    return InvalidData(
        f"data.source: the first row ({_begun(first)}, ...) {why}; name the columns in "
        "data.columns, or say data.header: false (then they are column_1, column_2, ...) or "
        "data.header: true (if these are the names)"
    )


def _begun(first: Sequence[str]) -> str:
    """How a record begins, as it is written."""
    cells = first[:_SHOWN]
    return ", ".join(name if len(name) <= _BEGUN else f"{name[:_BEGUN]}..." for name in cells)


def _records(text: str, separator: str, *, width: int, before: int) -> list[Cells]:
    ragged: list[Any] = []

    def remember(row: Any) -> str:
        ragged.append(row)
        return "error"

    names = [f"f{index}" for index in range(width)]
    content = text.encode()
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(content),
            # one thread: only then does Arrow know the number of a ragged row
            read_options=pyarrow.csv.ReadOptions(
                column_names=names, use_threads=False, block_size=min(len(content) + 1, _BLOCK)
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=separator, newlines_in_values='"' in text, invalid_row_handler=remember
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        says = _ragged(ragged[0], before, separator) if ragged else _malformed(error)
        raise InvalidData(says) from error
    return [column.combine_chunks() for column in table.columns]


def _ragged(row: Any, before: int, separator: str) -> str:
    number, found, wanted = before + row.number, row.actual_columns, row.expected_columns
    return (
        f"data.source: row {number} has {found} cells, and the first has {wanted}: "
        f"{row.text[:60]!r}{_why_ragged(row, separator, is_first=number == 1)}"
    )


def _why_ragged(row: Any, separator: str, *, is_first: bool) -> str:
    """What such a row is often a sign of, and the way on; empty where it may be anything."""
    more = row.actual_columns - row.expected_columns
    if "\n" in row.text.strip():
        return "; a quote that opens a cell there may not be closed: close it, or double it"
    if more == 1 and row.text.rstrip().endswith(separator):
        return (
            "; a separator at the end of a line makes one cell more: write one at the end of the "
            "first line, too, or none"
        )
    if more > 0 and is_first:
        return "; if lines stand above those of the table, leave them out of the file"
    return ""


def _check_closed(
    text: str, columns: Sequence[Cells], names: Sequence[str], *, before: int
) -> None:
    """Refuse a last cell whose quote nothing closes: the rest of the file would be its text.

    Such a cell holds the end of the last line; a closed one that ends so has a quote behind it.
    """
    if '"' not in text or not len(columns[-1]):
        return
    last = columns[-1][-1].as_py()
    if text.endswith('"' + last.replace('"', '""')):
        row = before + len(columns[-1])
        where = f"row {row}, column {names[-1]!r}" if row else "the first line"
        raise InvalidData(
            f"data.source: {where}: nothing closes the quote before {last.strip()[:40]!r}; close "
            'it, or write "" for one that is part of the text, in a cell between quotes'
        )


def _malformed(error: pa.ArrowInvalid) -> str:
    return f"data.source: the file cannot be read as CSV: {' '.join(str(error).split())[:200]}"
