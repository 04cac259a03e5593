"""A folder of Parquet files as one sequence of rows: file by file, row group by row group.

The files are those of the folder itself, in the order of their names; what begins with a dot or an
underscore (_SUCCESS, _metadata) is no data. All have the same columns. A file that is not what its
footer says, or that is written to meanwhile, is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from fairlead.data import layouts
from fairlead.data.arrays import holding, spread
from fairlead.data.frame import Frame, rows_at_once
from fairlead.errors import InvalidData
from fairlead.formatting import did_you_mean, shown

_SUFFIXES = (".parquet", ".pq")
_HIDDEN = (".", "_")
_CELL = 8  # bytes that a cell takes at least
_BUFFER = 1 << 18


@dataclass(frozen=True, kw_only=True)
class ParquetFolder:
    """The files of a folder, with what their footers say.

    Args:
        files: In order.
        schema: The first file's, which all others have, too.
    """

    files: tuple[ParquetFile, ...]
    schema: pa.Schema

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(file.rows for file in self.files)

    def first(self, memory: int) -> Frame:
        """Some of the first rows, with all columns; none where there are none."""
        empty = _without_rows(self.schema)
        frames = self.frames(spread(empty).column_names, memory=memory)
        return next(frames, None) or layouts.of_arrow(empty)

    def frames(self, names: Sequence[str], *, memory: int) -> Iterator[Frame]:
        """All rows in parts, in order.

        Args:
            names: The columns that are wanted.
            memory: Bytes that a part may take, with all that is made of it.

        Raises:
            InvalidData: A file is damaged, or is not what it was.
        """
        wanted = list(dict.fromkeys(names))
        columns = holding(self.schema, wanted)
        for file in self.files:
            at_once = rows_at_once(memory, file.width(len(wanted)))
            before = 0
            for batch in file.batches(columns, at_once):
                table = spread(pa.Table.from_batches([batch])).select(wanted)
                frame = layouts.of_arrow(table.replace_schema_metadata(self.schema.metadata))
                yield file.part(frame, before)
                before += len(batch)


@dataclass(frozen=True, kw_only=True)
class ParquetFile:
    """A file, as it was when its footer was read.

    Args:
        path: Where it is.
        rows: How many it has.
        size: Bytes of its cells, unpacked.
        columns: How many it has.
        seen: Its size on disk and the time of its last change.
    """

    path: Path
    rows: int
    size: int
    columns: int
    seen: tuple[int, int]

    def width(self, columns: int) -> int:
        """Bytes of a row of so many columns, about."""
        share = columns / max(1, self.columns)
        return max(_CELL * columns, int(share * self.size / max(1, self.rows)), 1)

    def part(self, frame: Frame, before: int) -> Frame:
        """The frame as rows of this file."""
        return replace(frame, part=self.path.name, before=before)

    def batches(self, names: Sequence[str], at_once: int) -> Iterator[pa.RecordBatch]:
        """Its rows; after the last of them it is still what it was."""
        with opened(self.path) as file:
            for group in range(file.num_row_groups):
                yield from self._of_group(file, group, names, at_once)
        if _seen(self.path) != self.seen:
            raise InvalidData(
                f"data.source: {self.path.name!r} was written to while it was read; read it again "
                "when nobody writes to it"
            )

    def _of_group(
        self, file: Any, group: int, names: Sequence[str], at_once: int
    ) -> Iterator[pa.RecordBatch]:
        wanted, found = file.metadata.row_group(group).num_rows, 0
        batches = file.iter_batches(
            batch_size=at_once, row_groups=[group], columns=list(names), use_threads=False
        )
        with _readable(self.path, f"row group {group}"):
            while (batch := next(batches, None)) is not None:
                found += len(batch)
                if len(batch):
                    yield batch
        if found != wanted:
            raise InvalidData(
                f"data.source: {self.path.name!r}, row group {group} has {found} rows, and the "
                f"file's footer says {wanted}: it is damaged"
            )


def folder_of(path: Path) -> ParquetFolder:
    """The files of a folder; their footers are read, and nothing else.

    Raises:
        InvalidData: There is none, one is no Parquet file, or their columns differ.
    """
    paths = _files(path)
    files, schemas = zip(*map(_footer, paths), strict=True)
    layouts.of_arrow(_without_rows(schemas[0]))  # its names tell its columns apart
    for at, schema in enumerate(schemas[1:], start=1):
        _check_alike(schemas[0], schema, paths[0].name, paths[at].name)
    return ParquetFolder(files=files, schema=schemas[0])


def _without_rows(schema: pa.Schema) -> pa.Table:
    """A table without rows; Arrow makes none that has tensors (`Schema.empty_table`)."""
    return pa.table([_nothing(kind) for kind in schema.types], schema=schema)


def _nothing(kind: pa.DataType) -> pa.Array:
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, _nothing(kind.storage_type))
    return pa.array([], kind)


def _files(path: Path) -> Sequence[Path]:
    try:
        entries = sorted(path.iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        raise InvalidData(
            f"data.source: {str(path)!r} cannot be read: {error.strerror or error}"
        ) from error
    found = [entry for entry in entries if not entry.name.startswith(_HIDDEN)]
    for entry in found:
        if entry.is_dir():
            raise InvalidData(
                f"data.source: {str(path)!r} holds the folder {entry.name!r}, and files are read "
                "from one folder: write all of them there, with what folders are named by as a "
                "column"
            )
        if not entry.name.endswith(_SUFFIXES):
            raise InvalidData(
                f"data.source: {str(path)!r} holds {entry.name!r}, which does not end with "
                f"{' or '.join(_SUFFIXES)}; only Parquet files are read from a folder; "
                "name another file itself"
            )
    if not found:
        raise InvalidData(
            f"data.source: {str(path)!r} holds no Parquet file (names that end with "
            f"{' or '.join(_SUFFIXES)})"
        )
    return found


def _footer(path: Path) -> tuple[ParquetFile, pa.Schema]:
    seen = _seen(path)
    with opened(path) as file:
        about = file.metadata
        size = sum(about.row_group(at).total_byte_size for at in range(about.num_row_groups))
        found = ParquetFile(
            path=path, rows=about.num_rows, size=size, columns=about.num_columns, seen=seen
        )
        return found, file.schema_arrow


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A Parquet file, of which only what is asked for comes into memory.

    It is not mapped: to read a map of a file that was cut short ends the process.
    """
    with _readable(path):
        file = pyarrow.parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
    with file:
        yield file


@contextmanager
def _readable(path: Path, part: str | None = None) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        where = f"{path.name!r}, {part}" if part else repr(path.name)
        raise InvalidData(
            f"data.source: {where} cannot be read as Parquet: {reason}; write the file again"
        ) from error


def _seen(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise InvalidData(
            f"data.source: {path.name!r} cannot be read: {error.strerror or error}"
        ) from error
    return found.st_size, found.st_mtime_ns


def _check_alike(first: pa.Schema, other: pa.Schema, name: str, its: str) -> None:
    """Refuse a file whose columns are not those of the first, in any order."""
    for missing in first.names:
        if missing not in other.names:
            hint = did_you_mean(missing, other.names)
            raise InvalidData(
                f"data.source: {its!r} has no column {missing!r}, which {name!r} has{hint}; all "
                "files of a folder have the same columns"
            )
    for field in other:
        if field.name not in first.names:
            raise InvalidData(
                f"data.source: {its!r} has a column {shown(field.name)}, which {name!r} has not; "
                "all files of a folder have the same columns"
            )
        if _plain(field.type) != _plain(first.field(field.name).type):
            raise InvalidData(
                f"data.source: column {field.name!r} is {field.type} in {its!r} and "
                f"{first.field(field.name).type} in {name!r}; write it as one type in all files"
            )


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type of the cells, however they are stored."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    return kind
