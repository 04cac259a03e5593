"""Predictions as files: CSV, JSON lines, Parquet.

Belongs here: their columns and how they are written, a block of rows at a time. Does not: making
them.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeAlias, Union

from fairlead.cli.output import plain
from fairlead.records import Signature

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Form: TypeAlias = Literal["csv", "jsonl", "parquet", "json"]
Block: TypeAlias = Mapping[str, Union[Sequence[Any], "NDArray[np.float64]"]]
"""Column name to its values, labels or numbers; every block has the same columns."""


def block(predicted: NDArray[np.float64], signature: Signature) -> Block:
    """Predictions as columns.

    Args:
        predicted: float64 [rows], or probabilities [rows, classes].
        signature: The model's.

    Returns:
        `prediction`; for classes the most probable one, the first of equals, and one column
        `probability_CLASS` for each.
    """
    if signature.classes is None:
        return {"prediction": predicted}
    labels = [signature.classes[index] for index in predicted.argmax(axis=1)]
    shares = zip(signature.classes, predicted.T.astype(float), strict=True)
    return {"prediction": labels, **{f"probability_{label}": values for label, values in shares}}


def write(blocks: Iterator[Block], stream: BinaryIO, form: Form) -> None:
    """Write the blocks one after another.

    Args:
        blocks: At least one.
        stream: Where to.
        form: How.
    """
    _WRITERS[form](blocks, stream)


def _write_csv(blocks: Iterator[Block], stream: BinaryIO) -> None:
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    try:
        writer = csv.writer(text, lineterminator="\n")
        for index, columns in enumerate(blocks):
            if index == 0:
                writer.writerow(columns)
            writer.writerows(zip(*map(_in_text, columns.values()), strict=True))
    finally:
        text.detach()  # or it would close the stream, which is not ours


def _write_jsonl(blocks: Iterator[Block], stream: BinaryIO) -> None:
    stream.writelines(row + b"\n" for row in _rows(blocks))


def _write_json(blocks: Iterator[Block], stream: BinaryIO) -> None:
    stream.write(b"[")
    between = chain([b"\n "], repeat(b",\n "))
    stream.writelines(mark + row for mark, row in zip(between, _rows(blocks), strict=False))
    stream.write(b"\n]\n")


def _rows(blocks: Iterator[Block]) -> Iterator[bytes]:
    for columns in blocks:
        for values in zip(*map(_in_text, columns.values()), strict=True):
            row = dict(zip(columns, values, strict=True))
            yield json.dumps(plain(row), ensure_ascii=False, allow_nan=False).encode()


def _in_text(values: Sequence[Any] | NDArray[np.float64]) -> Sequence[Any]:
    """Numbers as served ones are written, too; labels as they are."""
    import numpy as np

    from fairlead.serving.protocol.outputs import shortest

    return shortest(values) if isinstance(values, np.ndarray) else values


def _write_parquet(blocks: Iterator[Block], stream: BinaryIO) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = pa.table(dict(next(blocks)))
    with pq.ParquetWriter(stream, first.schema) as writer:
        writer.write_table(first)
        for columns in blocks:
            writer.write_table(pa.table(dict(columns), schema=first.schema))


_WRITERS: Mapping[Form, Callable[[Iterator[Block], BinaryIO], None]] = {
    "csv": _write_csv,
    "jsonl": _write_jsonl,
    "json": _write_json,
    "parquet": _write_parquet,
}
