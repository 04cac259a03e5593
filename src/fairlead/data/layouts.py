"""The layouts of files other than CSV, and how a file's format is detected.

UCI files have one record a line, cells between blanks; StatLib's have one over two lines after a
header of prose; JSON lines have one object a line. A format is detected by content, and by name
where the content leaves it open.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from fairlead.data.arrays import names_of, spread
from fairlead.data.cells import typed, typed_as, written
from fairlead.data.delimited import check_names, column_names
from fairlead.data.dialect import Dialect
from fairlead.data.frame import Frame, named
from fairlead.data.lexicon import EMPTY, NUMBER
from fairlead.errors import InvalidData, InvalidSpec
from fairlead.formatting import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray


Format: TypeAlias = Literal["csv", "tsv", "parquet", "jsonl", "statlib", "uci", "idx", "png"]
Records: TypeAlias = Sequence[Sequence[str]]

_BLANKS = re.compile(r'"([^"]*)"|(\S+)')
_HEAD = 1 << 16
_LEAD, _BLANK = 64, b"\xef\xbb\xbf \t\r\n"
_PAIR = 2


def format_of(content: bytes, name: str) -> Format:
    """Tell a file's format by its content, and by its name where the content leaves it open."""
    if content.startswith(b"PAR1") or name.endswith((".parquet", ".pq")):
        return "parquet"
    if content.startswith(b"\x89PNG"):
        return "png"
    if content.startswith(b"\x00\x00") or name.endswith("-ubyte"):
        return "idx"
    if name.endswith((".jsonl", ".ndjson", ".json")) or begins_as_json(content):
        return "jsonl"
    if name.endswith((".tsv", ".tab", ".csv")):
        return "csv" if name.endswith(".csv") else "tsv"
    return format_of_text(content)


def begins_as_json(content: bytes) -> bool:
    """Whether a file begins with an object, or with an array of objects."""
    return re.match(rb"\{|\[\s*\{", content[:_LEAD].lstrip(_BLANK)) is not None


def uci(text: str, dialect: Dialect) -> Frame:
    """Read records of cells between blanks, one a line; without a header, unless one is asked for.

    A text in double quotes is one cell.

    Raises:
        InvalidData: The file is empty or its rows are ragged.
        InvalidSpec: `columns` do not fit.
    """
    return _frame(records_of(text), dialect)


def records_of(text: str) -> list[list[str]]:
    """The cells between blanks of each line that has some; a text in double quotes is one cell."""
    return [[a or b for a, b in _BLANKS.findall(line)] for line in _lines(text)]


def statlib(text: str, dialect: Dialect) -> Frame:
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
    return _frame([[*first, *second] for first, second in pairs], dialect)


def format_of_text(content: bytes) -> Format:
    """Tell the format of a text file by its first lines."""
    lines = content[:_HEAD].decode("utf-8", "replace").splitlines()
    if len(content) > _HEAD:
        del lines[-1]  # it may be cut
    rows = [line.split() for line in lines if line.strip()]
    if not rows or _is_record(rows[0]) or _is_quoted_record(lines, rows):
        return "uci"
    start = next((index for index in range(len(rows)) if _starts_records(rows, index)), None)
    if start is not None and _alternate(rows[start:]):
        return "statlib"
    return "tsv" if "\t" in lines[0] else "csv"


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _is_record(cells: Sequence[str]) -> bool:
    """Whether all of them are numbers, but for a missing one."""
    known = [cell for cell in cells if cell != "?"]
    return len(known) > 0 and all(map(NUMBER.fullmatch, known))


def _is_quoted_record(lines: Sequence[str], rows: Records) -> bool:
    """Whether the first line holds numbers between blanks, and texts in quotes at the end."""
    first = next(line for line in lines if line.strip()).partition('"')[0].split()
    return len(first) > 1 and first != rows[0] and _is_record(first)


def _starts_records(rows: Records, index: int) -> bool:
    return all(_is_record(row) for row in rows[index : index + _PAIR])


def _alternate(rows: Records) -> bool:
    widths = [len(row) for row in rows]
    return len(rows) >= _PAIR and widths[0] != widths[1] and widths[2:] == widths[:-2]


def _frame(records: Records, dialect: Dialect) -> Frame:
    if not records:
        raise InvalidData("data.source: the file has no records")
    width = len(records[0])
    for row, record in enumerate(records, start=1):
        if len(record) != width:
            raise InvalidData(
                f"data.source: row {row} has {len(record)} cells, and the first has {width}"
            )
    names = _names(records[0], dialect)
    columns = zip(*records[bool(dialect.header) :], strict=True)
    return named(names, [written(list(cells), dialect.missing) for cells in columns], dialect)


def _names(first: Sequence[str], dialect: Dialect) -> Sequence[str]:
    if dialect.columns is not None:
        check_names(dialect.columns, width=len(first))
        return dialect.columns
    if dialect.header is None:
        raise InvalidSpec(
            f"data.columns: the file has no header; name its {len(first)} columns, or say "
            "data.header: false (then they are column_1, column_2, ...) or true (if it has one)"
        )
    return first if dialect.header else column_names(len(first))


# ---- JSON lines -----------------------------------------------------------------------------


def json_lines(text: str, wanted: Collection[str] | None = None) -> Frame:
    """Read JSON lines: one object of column names and values a line.

    Numbers are kept as they were written. A column whose values are all strings is text; one with
    arrays or objects is of no use, and may be there.

    Args:
        text: The file.
        wanted: Columns that are used; all if None.

    Raises:
        InvalidData: A line is no JSON object, or there is none.
    """
    lines = enumerate(text.split("\n"), 1)
    rows = [_object(line, number) for number, line in lines if line.strip()]
    if not rows:
        raise InvalidData("data.source: the file is empty")
    if (
        len(rows) == 1
        and rows[0]
        and all(isinstance(value, (dict, list)) for value in rows[0].values())
    ):
        raise InvalidData(f"data.source: line 1 holds whole columns, not a row{_ONE_A_LINE}")
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row.get(name) for row in rows] for name in names}
    kinds = {name: {type(cell) for cell in cells} - {type(None)} for name, cells in columns.items()}
    cells = [written([*map(_said, column)], EMPTY) for column in columns.values()]
    frame = named(names, cells, wanted=wanted)
    return replace(
        frame,
        text=frozenset(name for name, found in kinds.items() if found == {str}),
        other={name: _NESTED for name, found in kinds.items() if found & {list, dict}},
    )


_NESTED = "an array or an object"


class _Number(str):
    """A number as it was written in JSON."""

    __slots__ = ()


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(
            line,
            parse_float=_Number,
            parse_int=_Number,
            parse_constant=_constant,
            object_pairs_hook=_without_repeats,
        )
        _check_whole(line, row)
    except RecursionError as error:
        raise InvalidData(f"data.source: line {number} is nested too deep") from error
    except ValueError as error:
        more = _ONE_A_LINE if number == 1 and line.lstrip().startswith(("[", "{")) else ""
        raise InvalidData(f"data.source: line {number} is not JSON: {error}{more}") from error
    if not isinstance(row, dict):
        raise InvalidData(
            f"data.source: line {number} is not a JSON object of column names and values"
            f"{_ONE_A_LINE}"
        )
    return row


_ONE_A_LINE = "; write one object a line (to_json(orient='records', lines=True))"


def _check_whole(line: str, row: Any) -> None:
    """Refuse half of a pair of UTF-16, which JSON can write and no text can hold."""
    if "\\ud" not in line.lower():
        return
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half of a character, a \\u escape without its other") from None


def _without_repeats(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        name, count = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"an object has the key {shown(name)} {count} times")
    return found


def _constant(word: str) -> _Number | None:
    """NaN is a missing number; the infinite is refused where it is used."""
    return None if word == "NaN" else _Number(word)


def _said(cell: Any) -> str | None:
    return cell if cell is None or isinstance(cell, str) else str(cell)


# ---- idx --------------------------------------------------------------------------------------
#
# The idx layout of MNIST (http://yann.lecun.com/exdb/mnist): a file of images, one of labels.


IDX_TARGET = "label"
_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_IMAGES = re.compile(r"images([-.]idx)\d")


def labels_name(images: str) -> str | None:
    """Name of the file of labels that belongs to a file of images; None where it has none."""
    name, count = _IMAGES.subn(r"labels\g<1>1", images)
    return name if count else None


def idx(images: bytes, labels: bytes) -> Frame:
    """Read images as rows of numbers, with their labels as the column `label`.

    Raises:
        InvalidData: A file is no idx file or is cut short, or they differ in length.
    """
    pixels, digits = _idx_array(images, "images"), _idx_array(labels, "labels")
    if len(pixels) != len(digits) or digits.ndim != 1:
        raise InvalidData(f"data.source: {len(pixels)} images and {digits.shape} labels")
    shape = pixels.shape[1:]
    names = names_of("pixel", shape)
    flat = pixels.reshape(len(pixels), math.prod(shape))
    columns = [pa.array(np.ascontiguousarray(flat[:, at])) for at in range(flat.shape[1])]
    return named([*names, IDX_TARGET], [*columns, pa.array(digits)])


def _idx_array(content: bytes, what: str) -> NDArray[Any]:
    if len(content) < 4 or content[:2] != b"\x00\x00" or content[2] not in _IDX_TYPES:  # noqa: PLR2004 - the layout's magic number has four bytes
        raise InvalidData(f"data.source: the file of {what} is not in the idx layout")
    kind, dimensions = np.dtype(_IDX_TYPES[content[2]]), content[3]
    start = 4 + 4 * dimensions
    shape = struct.unpack(f">{dimensions}I", content[4:start].ljust(4 * dimensions, b"\xff"))
    if len(content) - start != math.prod(shape) * kind.itemsize:
        raise InvalidData(
            f"data.source: the file of {what} has {len(content)} bytes, and its header says "
            f"{start + math.prod(shape) * kind.itemsize}: it is cut short or damaged"
        )
    values = np.frombuffer(content, kind, offset=start).reshape(shape)
    return values.astype(kind.newbyteorder("="))


# ---- Parquet ----------------------------------------------------------------------------------


def parquet(content: bytes, *, limit: int, wanted: Collection[str] | None = None) -> Frame:
    """Read a Parquet file.

    Args:
        content: The file.
        limit: Bytes that it may hold when unpacked.
        wanted: Columns that are used; all if None.

    Raises:
        InvalidData: It is damaged or too large.
    """
    try:
        file = pyarrow.parquet.ParquetFile(pa.BufferReader(content))
        _check_size(file.metadata, limit)
        table = file.read()
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidData(f"data.source: the file cannot be read as Parquet: {reason}") from error
    return of_arrow(table, wanted)


def of_arrow(table: pa.Table, wanted: Collection[str] | None = None) -> Frame:
    """The cells of a Parquet file, or of a part of one; arrays are columns of their elements.

    Args:
        table: As Arrow read it.
        wanted: Columns that are used; all if None.

    Raises:
        InvalidData: Names do not tell the columns apart, or what pandas left there is damaged.
    """
    table = spread(table)
    cells = [typed(column) for column in table.columns]
    frame = named(table.column_names, cells, wanted=wanted)
    kinds = {name: one.type for name, one in zip(frame.names, frame.cells, strict=True)}
    text = frozenset(name for name, kind in kinds.items() if pa.types.is_string(kind))
    return replace(
        frame,
        text=text,
        index=frame.index | _pandas_index(table.schema),
        other={
            name: str(kind)
            for name, kind in kinds.items()
            if name not in text and typed_as(kind) == "other"
        },
    )


def _pandas_index(schema: pa.Schema) -> frozenset[str]:
    """Names of the columns that the file's metadata gives as the index of a DataFrame."""
    try:
        said = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    except ValueError as error:
        raise InvalidData(
            f"data.source: the file's metadata of pandas is damaged: {str(error)[:100]}"
        ) from error
    named = said.get("index_columns", ()) if isinstance(said, dict) else ()
    return frozenset(name for name in named if isinstance(name, str))  # a range is no column


def _check_size(metadata: pa.parquet.FileMetaData, limit: int) -> None:
    groups = (metadata.row_group(index) for index in range(metadata.num_row_groups))
    cells = 8 * metadata.num_rows * metadata.num_columns  # what repeats is stored once
    size = max(cells, sum(group.total_byte_size for group in groups))
    if size > limit:
        raise InvalidData(f"data.source: unpacked the file has {size} bytes; the limit is {limit}")
