"""Rows to predict: a file's columns brought into the order of a model's signature.

A text file is read in the dialect that the model's training data was written in. A number is read
from a string, too, because the model is known to take a number there.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal, NoReturn, TypeAlias

from fairlead.data import delimited, layouts
from fairlead.data.archive import File, refuse_binary, unpack
from fairlead.data.assemble import features_of
from fairlead.data.cells import CellError, without
from fairlead.data.dialect import Dialect
from fairlead.data.features import Features
from fairlead.data.frame import Frame
from fairlead.data.lexicon import EMPTY, missing_texts
from fairlead.data.read import decoded
from fairlead.errors import InvalidData, InvalidSpec
from fairlead.formatting import count, lacking, listed, nearest, quoted, shown
from fairlead.records import Column, Signature

Format: TypeAlias = Literal["auto", "csv", "tsv", "parquet", "jsonl", "uci", "statlib"]

_NAMED = 20  # of the columns that are missing, compared with the file's others
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
    dialect: Dialect | None = None,
    before: Before | None = None,
) -> Features:
    """Read rows to predict.

    Args:
        source: A file, or an open stream of bytes.
        signature: What the model takes: its columns are found by name, in any order; others are
            ignored.
        format: What it is written in; told by content and name if `auto`.
        dialect: How a text file is written; the usual way if None.
        before: What came before, where the source is a part of a file: faults are said of the file.

    Returns:
        The rows; a missing number is NaN, a missing text -1; the categories are the texts found.

    Raises:
        InvalidData: The file cannot be read, columns are missing, or a cell is no number.
    """
    packed, before = _content(source), before or Before()
    try:
        file = unpack(packed, limit=_LIMIT)
        refuse_binary(file)
        dialect = dialect or Dialect()
        form = _format_of(file, dialect, signature) if format == "auto" else format
        frame = _frame(file, form, dialect, before, signature)
        _check_columns(frame, signature.columns)
        return features_of(frame, signature.columns, partial(_refuse, before.rows))
    except (InvalidData, InvalidSpec) as error:
        raise InvalidData(f"{packed.name}: {str(error).removeprefix('data.source: ')}") from error


def _content(source: Path | BinaryIO) -> File:
    if not isinstance(source, Path):
        return File(name=str(getattr(source, "name", "rows")), content=source.read())
    try:
        return File(name=str(source), content=source.read_bytes())
    except OSError as error:
        raise InvalidData(f"{source}: cannot be read: {error.strerror or error}") from error


def _format_of(file: File, dialect: Dialect, signature: Signature) -> Format:
    start = file.content[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"PAR1"):
        return "parquet"
    if file.name.lower().endswith((".jsonl", ".ndjson", ".json")) or layouts.begins_as_json(start):
        return "jsonl"
    if file.name.lower().endswith((".tsv", ".tab")):
        return "tsv"
    return _format_between_blanks(file.content, dialect, signature) or "csv"


def _format_between_blanks(
    content: bytes, dialect: Dialect, signature: Signature
) -> Literal["uci", "statlib"] | None:
    """How cells lie between blanks; None where separators part them.

    Rows lie so under a header of the model's columns, or without one where `columns` named those of
    the training data.
    """
    found = None if dialect.columns is None else layouts.format_of_text(content)
    if found == "uci" or found == "statlib":  # noqa: PLR1714 - which tells the type
        return found
    line = content.strip().split(b"\n", 1)[0].decode("utf-8", "replace")
    first = [] if set(line) & set(delimited.SEPARATORS) else layouts.records_of(line)
    has_names = bool(first) and len(first[0]) > 1 and _names(signature) <= set(first[0])
    return "uci" if has_names else None


def _names(signature: Signature) -> set[str]:
    return {column.name for column in signature.columns}


def _frame(
    file: File, form: Format, dialect: Dialect, before: Before, signature: Signature
) -> Frame:
    """The file's columns, with those cells missing that the version takes for missing ones.

    A text is missing as it was in the training data. Where a number is wanted, the texts of the
    dialect can mean nothing else, though a version that was trained on a file which tells null from
    text has none for its texts.
    """
    missing = tuple(missing_texts(signature.missing))
    wanted = _names(signature)
    if form == "parquet":
        frame = layouts.parquet(file.content, limit=_LIMIT, wanted=wanted)
        return _without(frame, signature, missing, EMPTY)
    if form == "jsonl":
        text = decoded(file, way_on="JSON is UTF-8: save it so")
        return _without(layouts.json_lines(text, wanted), signature, missing, EMPTY)
    text = decoded(file, dialect.encoding, before=before.lines, way_on=_save_as(dialect.encoding))
    frame = _text_frame(text, form, dialect, before, signature)
    of_numbers = (*dialect.missing, *missing)
    assert frame.dialect
    frame = replace(frame, dialect=replace(frame.dialect, missing=of_numbers))
    return _without(frame, signature, missing, of_numbers)


def _text_frame(
    text: str, form: Format, dialect: Dialect, before: Before, signature: Signature
) -> Frame:
    """The cells as they are written; no text is a missing one yet, but for the empty one."""
    dialect = replace(dialect, missing=EMPTY)
    if form == "statlib":
        return _statlib(text, dialect)
    if form == "uci":
        first = next(iter(layouts.records_of(text)), [])
        headed = _headed(first, dialect, signature)
        return layouts.uci(text, replace(headed, header=bool(headed.header)))
    if dialect.separator is None:
        separator = "\t" if form == "tsv" else delimited.separator_of(text, dialect.decimal)
        dialect = replace(dialect, separator=separator)
    assert dialect.separator is not None
    headed = _headed(delimited.first_record(text, dialect.separator), dialect, signature)
    return delimited.parse(
        text,
        headed,
        before=before.rows,
        wanted=_names(signature),
        way_on=f"not those of the training data; write {quoted(headed.columns or ())} there",
    )


def _statlib(text: str, dialect: Dialect) -> Frame:
    try:
        return layouts.statlib(text, dialect)
    except InvalidSpec as error:  # of `columns`, which is all that can be wrong there
        names = listed(dialect.columns or ())
        raise InvalidData(
            f"its records have not as many cells as those of the training data: {names}"
        ) from error


def _save_as(encoding: str) -> str:
    return f"save it as {encoding.upper()}, as the training data was"


def _without(
    frame: Frame, signature: Signature, of_text: Sequence[str], of_numbers: Sequence[str]
) -> Frame:
    """The frame with these texts missing, in columns of texts and in columns of numbers."""
    missing = {
        column.name: of_text if column.kind == "text" else of_numbers
        for column in signature.columns
    }
    cells = (
        without(cells, missing.get(name, EMPTY))
        for name, cells in zip(frame.names, frame.cells, strict=True)
    )
    return replace(frame, cells=tuple(cells))


def _headed(first: Sequence[str], dialect: Dialect, signature: Signature) -> Dialect:
    """The dialect with the names of the file's columns.

    Rows to predict have one, whatever the training data had, if it names the model's columns.
    Where `columns` named those of the training data, they may lie in that order, with the target or
    without, under the header that these names replace or, as that data, without one.

    Raises:
        InvalidData: The first record has neither the names nor as many cells as there are.
    """
    names, wanted = dialect.columns, _names(signature)
    if names is None or wanted <= set(first):
        return replace(dialect, columns=None, header=True)
    if len(first) == len(names) - 1:
        names = tuple(name for name in names if name != signature.target)
    if len(first) != len(names):
        if wanted & set(first):  # a header that lacks some of them
            return replace(dialect, columns=None, header=True)
        raise InvalidData(
            f"the first line has {count(len(first), 'cell')} and does not name the model's "
            f"columns; write their names there, or as many cells as the training data has, with "
            f"its target or without: {listed(names)}"
        )
    return replace(dialect, columns=names)


def _check_columns(frame: Frame, columns: Sequence[Column]) -> None:
    missing = [column.name for column in columns if column.name not in frame.names]
    if not missing:
        return
    hint = _of_one(frame) or _hint(
        missing[:_NAMED], set(frame.names) - {column.name for column in columns}
    )
    raise InvalidData(f"the model needs {lacking(missing)}{hint}")


def _of_one(frame: Frame) -> str:
    """A clause for a file whose cells something else parts; mostly empty."""
    if frame.dialect is None or len(frame.names) > 1 or frame.names[0].isidentifier():
        return ""
    return (
        f"; the file has one column, {frame.names[0][:60]!r}, where {frame.dialect.separator!r} "
        "parts cells"
    )


def _hint(missing: Sequence[str], others: Collection[str]) -> str:
    """A clause that names the file's other columns that are like missing ones; mostly empty."""
    like = {near: name for name in missing if (near := nearest(name, sorted(others)))}
    if not like:
        return ""
    have, meant = (" and ".join(map(repr, names)) for names in (like, like.values()))
    return f"; the file has {have}: did you mean {meant}?"


def _refuse(before: int, fault: CellError, name: str) -> NoReturn:
    raise InvalidData(
        f"row {before + fault.row + 1}, column {name!r}: {shown(fault.cell)} is {fault.why}"
    )
