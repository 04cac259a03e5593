"""Reading data: from the spec's section `data` to a table.

Find the bytes (source.py), unpack them (archive.py), parse them into a frame (delimited.py,
layouts.py) as the file is written (dialect.py), and assemble the table (assemble.py), or say what
would read it (suggestions.py). A folder of files (parquet_folder.py, png_folder.py) is read in
parts, by the same rules (accumulate.py).
"""

from __future__ import annotations

import codecs
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fairlead.data import delimited, layouts, parquet_folder, png_folder
from fairlead.data.accumulate import table_of
from fairlead.data.archive import File, refuse_binary, unpack
from fairlead.data.assemble import assemble, check_missing
from fairlead.data.catalog import ENTRIES, Entry
from fairlead.data.dialect import Dialect
from fairlead.data.download import Progress
from fairlead.data.frame import Frame
from fairlead.data.layouts import Format, format_of
from fairlead.data.scratch import Scratch
from fairlead.data.source import Place, fetch, labels_of, name_of, place_of, place_of_entry
from fairlead.data.table import Table
from fairlead.errors import InvalidData, InvalidSpec, Unreachable
from fairlead.formatting import shown
from fairlead.records import Column, Digest
from fairlead.settings import Settings
from fairlead.spec.document import Data

if TYPE_CHECKING:
    from numpy.typing import NDArray


_PIECE = 1 << 24
_BEGIN = 1 << 12
_SINGLE_BYTES = {"iso8859-1", "iso8859-15", "cp1252", "cp1250", "cp1251"}
_UNPACKED = 4  # an archive may unpack to this many times what a download may bring


def read(data: Data, *, base: Path, settings: Settings, progress: Progress | None = None) -> Table:
    """Read the data that a spec names.

    Args:
        data: The spec's `data`.
        base: The folder that its relative paths start from; its `data` is the last of the mirror
            folders.
        settings: Mirror folders and what downloads may do.
        progress: Called with the bytes that are here and their total, if known, while downloading.

    Returns:
        The table; its missing numbers (only where `data.impute` is given) are NaN.

    Raises:
        InvalidSpec: `data` asks for what cannot be.
        InvalidData: The data is not what `data` says, or cannot be used.
        Unreachable: A server did not answer.
    """
    entry = ENTRIES.get(data.source)
    if entry is not None:
        mirrors = (*settings.data, base / "data")
        beside = replace(settings, data=mirrors, ask_again=False)  # the catalog's never change
        return _read_entry(entry, data, beside, progress)
    place = place_of(data, base=base, settings=settings)
    if isinstance(place, Path) and place.is_dir():
        return _of_folder(place, data, settings)
    frame = _frame(place, data, settings, progress, digest=_plain(data.digest))
    table = assemble(frame, _with_label(data, frame))
    check_missing(table, data)
    return table


def _of_folder(place: Path, data: Data, settings: Settings) -> Table:
    if data.format not in {"auto", "parquet", "png"}:
        raise InvalidSpec(
            f"data.format: {data.format!r} is of a file, and {str(place)!r} is a folder: of a "
            "folder, Parquet files are read, or PNG images by class; leave it out"
        )
    if data.digest is not None:
        raise InvalidSpec(
            f"data.digest: it is of a file, and {str(place)!r} is a folder; leave it out"
        )
    scratch, memory = Scratch(settings.reading), settings.memory_for_data
    if data.format == "png" or (data.format == "auto" and png_folder.holds_images(place)):
        images = png_folder.folder_of(place, target=data.target)
        labelled = data.model_copy(update={"target": images.target})
        return table_of(images, labelled, scratch=scratch, memory=memory)
    return table_of(parquet_folder.folder_of(place), data, scratch=scratch, memory=memory)


def reference(entry: Entry, settings: Settings) -> Table | None:
    """The table of an entry as the installations carry it; None where none does."""
    if entry.bundled is not None:
        return _default_table(entry, entry.bundled())
    if entry.carried is None:
        return None
    data = Data(source=entry.name, columns=entry.columns or None)
    return _default_table(entry, entry.shape(_frame(entry.carried, data, settings, None)))


# ---- the catalog ----------------------------------------------------------------------------


def _read_entry(entry: Entry, data: Data, settings: Settings, progress: Progress | None) -> Table:
    frame = _entry_frame(entry, data, settings, progress)
    if entry.target not in frame.names:
        raise InvalidData(
            f"data.source: this copy of {entry.name!r} has no column {entry.target!r}; it has "
            f"{', '.join(frame.names[:20])}"
        )
    _check_entry(entry, _default_table(entry, frame), settings)
    table = assemble(frame, _with_defaults(entry, data))
    check_missing(table, data)
    return table


def _entry_frame(entry: Entry, data: Data, settings: Settings, progress: Progress | None) -> Frame:
    if data.columns is not None:
        raise InvalidSpec(f"data.columns: {entry.name!r} has names for its columns; leave it out")
    if entry.bundled is not None:
        if data.digest is not None:
            raise InvalidSpec(
                f"data.digest: {entry.name!r} comes with scikit-learn, not as a file of its own; "
                "leave it out (its values are checked anyway)"
            )
        return entry.bundled()
    place = place_of_entry(entry, settings=settings)
    digest = _plain(data.digest) or (
        entry.digests.get(name_of(place)) if place == entry.url else None
    )
    wanted = data.model_copy(update={"columns": entry.columns or None})
    try:
        return entry.shape(_frame(place, wanted, settings, progress, digest=digest))
    except Unreachable as error:
        files = " and ".join(repr(name) for name in entry.digests)
        raise Unreachable(
            f"{error}; without a network, put {files} into a folder that FAIRLEAD_DATA names"
        ) from error


def _default_table(entry: Entry, frame: Frame) -> Table:
    return assemble(frame, Data(source=entry.name, target=entry.target, task=entry.task))


def _with_defaults(entry: Entry, data: Data) -> Data:
    target = data.target or entry.target
    known = data.task == "auto" and target == entry.target
    return data.model_copy(update={"target": target, "task": entry.task if known else data.task})


def _check_entry(entry: Entry, table: Table, settings: Settings) -> None:
    if table.fingerprint == entry.fingerprint:
        return
    expected = reference(entry, settings)
    says = difference(table, expected) if expected else _counted(entry, table)
    differs = f" ({entry.differs})" if entry.differs else ""
    raise InvalidData(
        f"data.source: this copy of {entry.name!r} is not the catalog's table: {says}{differs}; "
        "to use it as it is, give its path"
    )


def _counted(entry: Entry, table: Table) -> str:
    rows = len(table.features)
    if rows != entry.rows:
        return f"it has {rows} rows, not {entry.rows}"
    return f"its fingerprint is {table.fingerprint}, not {entry.fingerprint}"


# ---- files ----------------------------------------------------------------------------------


def _frame(
    place: Place,
    data: Data,
    settings: Settings,
    progress: Progress | None,
    *,
    digest: Digest | None = None,
) -> Frame:
    limit = _UNPACKED * settings.max_download
    file = unpack(fetch(place, settings=settings, digest=digest, progress=progress), limit=limit)
    if not file.content:
        raise InvalidData(f"data.source: {name_of(place)!r} is empty")
    refuse_binary(file)
    form = format_of(file.content, file.name.lower()) if data.format == "auto" else data.format
    if form == "idx":
        return layouts.idx(file.content, _labels(place, settings, progress, limit))
    if form == "png":
        raise InvalidSpec(
            f"data.source: {name_of(place)!r} is one file, and images are read from a folder of "
            "folders by class (cat/1.png, dog/1.png): name that"
        )
    if form == "parquet":
        return layouts.parquet(file.content, limit=limit)
    dialect = Dialect.of(data)
    if form == "uci" and data.missing is None:
        dialect = replace(dialect, missing=(*dialect.missing, "?"))
    if form == "jsonl":
        return layouts.json_lines(decoded(file, way_on="JSON is UTF-8: save it so"))
    text = decoded(file, dialect.encoding)
    return _text_frame(text, form, dialect, is_entry=data.source in ENTRIES)


def _text_frame(text: str, form: Format, dialect: Dialect, *, is_entry: bool) -> Frame:
    if form == "uci":
        return layouts.uci(text, dialect)
    if form == "statlib":
        return layouts.statlib(text, dialect)
    if form == "tsv" and dialect.separator is None:
        dialect = replace(dialect, separator="\t")
    # the catalog's names are for files that have none; a spec's names are what the user says
    unused = is_entry and delimited.has_names(text)
    return delimited.parse(text, replace(dialect, columns=None) if unused else dialect)


def decoded(
    file: File, encoding: str = "utf-8", *, before: int = 0, way_on: str | None = None
) -> str:
    """The text of a file, without a byte order mark; one of UTF-8 says what it is.

    Args:
        file: Its bytes.
        encoding: Of the text.
        before: Lines that came before, where they are a part of a file.
        way_on: What to do where it is in another; which key of the spec reads it if None.

    Raises:
        InvalidData: It is not in this encoding.
    """
    plain = "utf-8" if file.content.startswith(codecs.BOM_UTF8) else codecs.lookup(encoding).name
    decoder = codecs.getincrementaldecoder("utf-8-sig" if plain == "utf-8" else plain)()
    ends = len(file.content)
    try:
        texts = [  # in pieces, so that Ctrl-C is heeded between them
            decoder.decode(file.content[start : start + _PIECE], final=start + _PIECE >= ends)
            for start in range(0, ends, _PIECE)
        ]
    except UnicodeError as error:
        start = _first_odd(file.content, plain)
        row = before + file.content.count(b"\n", 0, start) + 1
        raise InvalidData(
            f"data.source: line {row} of {file.name!r} is not {plain.upper()} "
            f"(byte {file.content[start]:#04x}); {way_on or _other_encoding(file.content, plain)}"
        ) from error
    if plain in _SINGLE_BYTES and _is_utf8(file.content):
        raise InvalidData(
            f"data.source: {file.name!r} is UTF-8, and read as {plain.upper()} its letters would "
            f"be others; {way_on or 'say data.encoding: utf-8'}"
        )
    if plain == "utf-8" and not before and _is_wide(file.content[:_BEGIN]):
        raise InvalidData(
            f"data.source: every second byte of {file.name!r} is 0; "
            f"{way_on or _other_encoding(file.content, plain)}"
        )
    return "".join(texts)


def _is_utf8(content: bytes) -> bool:
    """Whether it has letters beyond ASCII, each as UTF-8 writes it: by chance that is not so."""
    if content.isascii():
        return False
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_wide(start: bytes) -> bool:
    """Whether a text has two bytes a character: UTF-16 without a mark is UTF-8 with NUL bytes."""
    return any(half and half.count(0) > len(half) // 2 for half in (start[::2], start[1::2]))


def _other_encoding(content: bytes, encoding: str) -> str:
    """The key that reads it, by the byte order mark or by what is likely."""
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "it begins as UTF-32 does: say data.encoding: utf-32"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "it begins as UTF-16 does: say data.encoding: utf-16"
    if b"\0" in content[:_BEGIN]:
        return "it looks like UTF-16: say data.encoding: utf-16-le (or utf-16-be)"
    if encoding != "utf-8":
        return "data.encoding names another, if it is in another"
    return (
        "say data.encoding: latin-1 or cp1252 if it is in one of these (files from Europe and the "
        "Americas often are), or save it as UTF-8"
    )


def _first_odd(content: bytes, encoding: str) -> int:
    """Where the bytes cease to be in this encoding."""
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        return error.start
    except UnicodeError:  # of UTF-16 without a byte order mark
        return 0
    return len(content) - 1


def _labels(place: Place, settings: Settings, progress: Progress | None, limit: int) -> bytes:
    labels = labels_of(place, settings)
    if labels is None:
        raise InvalidData(
            f"data.source: {name_of(place)!r} holds images without labels; name the file as MNIST "
            "does (...images-idx3-ubyte), with ...labels-idx1-ubyte beside it"
        )
    pinned = next(
        (e.digests.get(name_of(labels)) for e in ENTRIES.values() if e.url == place), None
    )
    file = fetch(labels, settings=settings, digest=pinned, progress=progress)
    return unpack(file, limit=limit).content


def _with_label(data: Data, frame: Frame) -> Data:
    """The target of idx files needs no name."""
    implied = data.target is None and frame.names[-1] == layouts.IDX_TARGET and len(frame.names) > 1
    return data.model_copy(update={"target": layouts.IDX_TARGET}) if implied else data


def _plain(digest: str | None) -> Digest | None:
    return None if digest is None else digest.removeprefix("sha256:")


# ---- differences ------------------------------------------------------------------------------
#
# The first difference between two tables that a person can look up, in a sentence.


def difference(table: Table, expected: Table) -> str:
    """Say what differs first: rows, columns, missing values, a cell, the target."""
    return (
        _columns(table.columns, expected.columns)
        or _rows(len(table.features), len(expected.features))
        or _missing(table, expected)
        or _cell(table, expected)
        or _target(table, expected)
    )


def _columns(found: tuple[Column, ...], expected: tuple[Column, ...]) -> str:
    if len(found) != len(expected):
        return f"it has {len(found)} feature columns, not {len(expected)}"
    for at, (one, other) in enumerate(zip(found, expected, strict=True), start=1):
        if one != other:
            return f"its column {at} is {one.name!r}, not {other.name!r}"
    return ""


def _rows(found: int, expected: int) -> str:
    return "" if found == expected else f"it has {found} rows, not {expected}"


def _missing(table: Table, expected: Table) -> str:
    found, wanted = (np.isnan(t.features.numbers).sum(axis=0) for t in (table, expected))
    if (found == wanted).all():
        return ""
    at = int((found != wanted).argmax())
    name = table.signature.numbers[at]
    return f"column {name!r} is missing in {found[at]} rows, not in {wanted[at]}"


def _cell(table: Table, expected: Table) -> str:
    found, wanted = table.features.numbers, expected.features.numbers
    return _first(found, wanted, table.signature.numbers)


def _target(table: Table, expected: Table) -> str:
    found, wanted = (_values(t)[:, np.newaxis] for t in (table, expected))
    return _first(found, wanted, (table.target_name,))


def _values(table: Table) -> NDArray[Any]:
    return table.target if table.classes is None else np.array(table.classes)[table.target]


def _first(found: NDArray[Any], wanted: NDArray[Any], names: tuple[str, ...]) -> str:
    differs = (found != wanted) & ~((found != found) & (wanted != wanted))  # noqa: PLR0124 - NaN
    if not differs.any():
        return ""
    row, at = np.argwhere(differs)[0].tolist()
    return (
        f"row {row + 1}, column {names[at]!r} is {shown(found[row, at].item())}, "
        f"not {shown(wanted[row, at].item())}"
    )
