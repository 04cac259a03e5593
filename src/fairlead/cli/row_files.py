"""Files of rows for predictions: read in parts that fit into memory, written block by block."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeAlias, Union

from fairlead.data.archive import is_packed
from fairlead.errors import InvalidData
from fairlead.formatting import plain
from fairlead.records import Signature

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Form: TypeAlias = Literal["csv", "jsonl", "parquet", "json"]
Block: TypeAlias = Mapping[str, Union[Sequence[Any], "NDArray[np.float64]"]]
"""Column name to its values, labels or numbers; every block has the same columns."""

PART = 8 << 20  # bytes; reading them takes about 6 times as much memory
_START = 4096
_WHOLE = (b"PAR1", b"{")  # how Parquet and JSON lines begin


class Part(io.BytesIO):
    """Some rows of a file, with its header.

    Args:
        content: As it would stand in a file of its own.
        name: Of the file it is from.
        lines: Of the file that came before, less those of the header.
    """

    def __init__(self, content: bytes, name: str, lines: int = 0) -> None:
        super().__init__(content)
        self.name = name
        self.lines = lines


def parts(path: Path, *, size: int | None = None, whole: bool = False) -> Iterator[Part]:
    """The file, or stdin for "-", in parts.

    CSV and TSV are cut between records; each part begins with the file's header. Other files come
    in one part: Parquet is small, an archive is unpacked as one, and only all lines of JSON
    together tell which columns there are.

    Args:
        path: The file.
        size: Bytes of a part, about; PART if None.
        whole: In one part, whatever it is: it has no header, or lines that do not end with a byte.

    Raises:
        InvalidData: It cannot be read.
    """
    try:
        with _open(path) as stream:
            name = "stdin" if str(path) == "-" else str(path)
            for content, lines in _cut(stream, size or PART, whole=whole):
                yield Part(content, name, lines)
    except OSError as error:
        raise InvalidData(f"{path}: cannot be read: {error.strerror or error}") from error


def _open(path: Path) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb")


def _cut(stream: BinaryIO, size: int, *, whole: bool) -> Iterator[tuple[bytes, int]]:
    first = stream.read(size)
    start = first[:_START].removeprefix(b"\xef\xbb\xbf").lstrip()
    if whole or is_packed(first) or start.startswith(_WHOLE):
        yield first + stream.read(), 0
        return
    first += _rest_of_record(first, stream)
    yield first, 0
    header = _header(first)
    lines = first.count(b"\n") - header.count(b"\n")
    while content := stream.read(size):
        content += _rest_of_record(content, stream)
        yield header + content, lines
        lines += content.count(b"\n")


def _rest_of_record(content: bytes, stream: BinaryIO) -> bytes:
    """What is missing to the end of the content's last record.

    A line break ends a record unless it stands in quotes, which it does where an odd number of
    them came before: a quote inside quotes is doubled (RFC 4180).
    """
    rest = [] if content.endswith(b"\n") else [stream.readline()]
    quotes = content.count(b'"') + sum(line.count(b'"') for line in rest)
    while quotes % 2 and (line := stream.readline()):
        rest.append(line)
        quotes += line.count(b'"')
    return b"".join(rest)


def _header(content: bytes) -> bytes:
    stream = io.BytesIO(content)
    line = next((line for line in stream if line.strip()), b"")
    return line + _rest_of_record(line, stream)


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
        text.detach()  # or it would close the stream


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
