"""Rows to predict: a file's columns brought into the order of a model's signature."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, NoReturn, TypeAlias

from fairlead.data import delimited, layouts
from fairlead.data.archive import File
from fairlead.data.assemble import features_of
from fairlead.data.cells import CellError, written
from fairlead.data.frame import Frame, named
from fairlead.data.read import decoded
from fairlead.data.table import Features
from fairlead.errors import InvalidData
from fairlead.records import Column, Signature

Format: TypeAlias = Literal["auto", "csv", "tsv", "parquet", "jsonl"]

_NAMED = 20  # of the columns that are missing, in a message
_LIMIT = 1 << 32  # bytes that a Parquet file of rows may hold when unpacked


@dataclass(frozen=True, kw_only=True)
class Before:
    """What of a file came before a part of it."""

    rows: int = 0
    lines: int = 0  # less those of the header, which each part repeats


def read_rows(
    source: Path | BinaryIO,
    signature: Signature,
    *,
    format: Format = "auto",  # noqa: A002 - the word of the spec and of the command line
    before: Before | None = None,
) -> Features:
    """Read rows to predict.

    Args:
        source: A file, or an open stream of bytes.
        signature: What the model takes: its columns are found by name, in any order; others are
            ignored.
        format: What it is written in; told by content and name if `auto`.
        before: What came before, where the source is a part of a file: faults are said of the file.

    Returns:
        The rows; a missing number is NaN, a missing text -1; the categories are the texts found.

    Raises:
        InvalidData: The file cannot be read, columns are missing, or a cell is no number.
    """
    file, before = _content(source), before or Before()
    try:
        frame = _frame(file, _format_of(file) if format == "auto" else format, before)
        _check_columns(frame, signature.columns)
        return features_of(frame, signature.columns, partial(_refuse, before.rows))
    except InvalidData as error:
        raise InvalidData(f"{file.name}: {str(error).removeprefix('data.source: ')}") from error


def _content(source: Path | BinaryIO) -> File:
    if not isinstance(source, Path):
        return File(name=str(getattr(source, "name", "rows")), content=source.read())
    try:
        return File(name=str(source), content=source.read_bytes())
    except OSError as error:
        raise InvalidData(f"{source}: cannot be read: {error.strerror or error}") from error


def _format_of(file: File) -> Format:
    start = file.content[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith(b"{"):
        return "jsonl"
    return "tsv" if file.name.lower().endswith((".tsv", ".tab")) else "csv"


def _frame(file: File, form: Format, before: Before) -> Frame:
    if form == "parquet":
        return layouts.parquet(file.content, limit=_LIMIT)
    text = decoded(file, before=before.lines)
    if form == "jsonl":
        return _json_lines(text)
    separator = "\t" if form == "tsv" else delimited.separator_of(text)
    return delimited.parse(text, separator=separator, before=before.rows)


def _json_lines(text: str) -> Frame:
    rows = [
        _object(line, number) for number, line in enumerate(text.split("\n"), 1) if line.strip()
    ]
    if not rows:
        raise InvalidData("the file is empty")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return named(names, [written([row.get(name) for row in rows]) for name in names])


def _object(line: str, number: int) -> dict[str, str | None]:
    """One line's cells as they were written, so that a number used as text stays as it is."""
    try:
        row = json.loads(line, parse_float=str, parse_int=str, parse_constant=str)
    except ValueError as error:
        raise InvalidData(f"line {number} is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise InvalidData(f"line {number} is not a JSON object of column names and values")
    return {name: _cell(value, name, number) for name, value in row.items()}


def _cell(value: Any, name: str, number: int) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value)
    raise InvalidData(f"line {number}, column {name!r}: a list or an object is no value")


def _check_columns(frame: Frame, columns: Sequence[Column]) -> None:
    missing = [repr(column.name) for column in columns if column.name not in frame.names]
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        names = f"{', '.join(missing[:_NAMED])}{more}"
        raise InvalidData(f"the model needs the columns {names}, which are not there")


def _refuse(before: int, fault: CellError, name: str) -> NoReturn:
    raise InvalidData(
        f"row {before + fault.row + 1}, column {name!r}: {fault.cell!r} is {fault.why}"
    )
