"""A file of rows, in parts that fit into memory.

Belongs here: where CSV may be cut. Does not: what a part says (data/rows.py).
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

from fairlead.errors import InvalidData

PART = 8 << 20  # bytes; reading them takes about 6 times as much memory
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


def parts(path: Path, *, size: int | None = None) -> Iterator[Part]:
    """The file, or stdin for "-", in parts.

    CSV and TSV are cut between records; each part begins with the file's header. Other files come
    in one part: Parquet is small, and only all lines of JSON together tell which columns there are.

    Args:
        path: The file.
        size: Bytes of a part, about; PART if None.

    Raises:
        InvalidData: It cannot be read.
    """
    try:
        with _open(path) as stream:
            name = "stdin" if str(path) == "-" else str(path)
            for content, lines in _cut(stream, size or PART):
                yield Part(content, name, lines)
    except OSError as error:
        raise InvalidData(f"{path}: cannot be read: {error.strerror or error}") from error


def _open(path: Path) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb")


def _cut(stream: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    first = stream.read(size)
    if first.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(_WHOLE):
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
