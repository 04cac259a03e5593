"""Parquet files, read within a bound on their size."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet

from fairlead.data.cells import typed
from fairlead.data.frame import Cells, Frame, named
from fairlead.errors import InvalidData


def parse(content: bytes, *, limit: int) -> Frame:
    """Read a Parquet file.

    Args:
        content: The file.
        limit: Bytes that it may hold when unpacked.

    Raises:
        InvalidData: It is damaged or too large, or a column is neither numbers nor text.
    """
    try:
        file = pyarrow.parquet.ParquetFile(pa.BufferReader(content))
        _check_size(file.metadata, limit)
        table = file.read()
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidData(f"data.source: the file cannot be read as Parquet: {reason}") from error
    columns = zip(table.column_names, table.columns, strict=True)
    return named(table.column_names, [_cells(name, column) for name, column in columns])


def _check_size(metadata: pa.parquet.FileMetaData, limit: int) -> None:
    groups = (metadata.row_group(index) for index in range(metadata.num_row_groups))
    cells = 8 * metadata.num_rows * metadata.num_columns  # what repeats is stored once
    size = max(cells, sum(group.total_byte_size for group in groups))
    if size > limit:
        raise InvalidData(f"data.source: unpacked the file has {size} bytes; the limit is {limit}")


def _cells(name: str, column: Cells) -> Cells:
    cells = typed(column)
    if cells is None:
        raise InvalidData(
            f"data.source: column {name!r} is {column.type}, neither numbers nor text; write it "
            "as one of these, or leave it out of the file"
        )
    return cells
