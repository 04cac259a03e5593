"""One input tensor of a request: its shape, and its data, flat, nested or binary."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from struct import Struct
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from fairlead.data.lexicon import LARGEST_WHOLE
from fairlead.errors import Invalid, TooLarge
from fairlead.formatting import shown
from fairlead.serving.protocol import strict
from fairlead.serving.protocol.datatypes import (
    BYTES,
    Datatype,
    datatype,
    element,
    exact_element,
    named,
)
from fairlead.serving.protocol.documents import RequestInput
from fairlead.serving.protocol.intake import INEXACT, MOST, as_they_are, near, single
from fairlead.serving.protocol.wording import brief, refused

_LENGTH = 4  # bytes before an element of BYTES that say how long it is
_EXACT = 2  # bytes of a number, of whatever kind, that float32 keeps as it is
_length = Struct("<I").unpack_from
_NESTED = re.compile(rb"\s*+\[\s*+\[")


class Binary(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where in a body the binary data of an input stands."""

    body: bytes
    start: int
    size: int


class Sent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An input of a request.

    Args:
        tensor: As the document has it.
        kind: Its datatype.
        binary: Its data, where it is binary.
        whole: Bytes of the document.
    """

    tensor: RequestInput
    kind: Datatype
    binary: Binary | None
    whole: int

    @property
    def where(self) -> str:
        """Begins a message about a cell."""
        return f"input {shown(self.tensor.name)}, "

    @property
    def data(self) -> msgspec.Raw:
        """Its data in JSON."""
        assert self.tensor.data is not UNSET
        return self.tensor.data

    @property
    def decoder(self) -> msgspec.json.Decoder[Any]:
        """Reads its data in JSON."""
        return self.kind.nested if _NESTED.match(self.data) else self.kind.flat

    def wrong(self, why: str) -> Invalid:
        """Why the input as a whole is not taken."""
        return Invalid(f"input {shown(self.tensor.name)}: {why}")

    def elements(self, count: int) -> NDArray[Any]:
        """Binary data of numbers, in place: [elements], read-only."""
        assert self.binary
        return np.frombuffer(self.binary.body, self.kind.stored, count, self.binary.start)


def located(tensor: RequestInput, body: bytes, start: int, whole: int) -> Sent:
    """An input with its data found.

    Args:
        tensor: As the document has it.
        body: The whole request.
        start: Where its data begins, if that is binary.
        whole: Bytes of the document.

    Raises:
        Invalid: Its datatype is not known, or it has not data of one kind.
    """
    try:
        kind = datatype(tensor.datatype)
        size = _binary_size(tensor)
    except ValueError as error:
        raise Invalid(f"input {shown(tensor.name)}: {error}") from None
    binary = None if size is None else Binary(body=body, start=start, size=size)
    found = Sent(tensor=tensor, kind=kind, binary=binary, whole=whole)
    if binary and start + binary.size > len(body):
        raise found.wrong(f"{size} bytes of binary data, where the body has {len(body) - start}")
    return found


def _binary_size(tensor: RequestInput) -> int | None:
    parameters = tensor.parameters or {}
    if "shared_memory_region" in parameters:
        raise ValueError("shared memory is not for clients of this server; send the data")
    size = parameters.get("binary_data_size")
    if (size is None) == (tensor.data is UNSET):
        raise ValueError("an input has either `data` or the parameter `binary_data_size`")
    if size is not None and (type(size) is not int or size < 0):
        raise ValueError(f"binary_data_size is {shown(size)}, not a number of bytes")
    return size


def rows_of(sent: Sent, width: int) -> int:
    """How many rows the shape says; a tensor of one column may leave that out.

    Raises:
        Invalid: The shape is none of this model's.
    """
    shape = sent.tensor.shape
    if not (len(shape) == 2 and shape[1] == width) and not (len(shape) == 1 and width == 1):  # noqa: PLR2004 - rows and columns
        wanted = f"[rows, {width}]" + (" or [rows]" if width == 1 else "")
        raise sent.wrong(f"its shape is {shown(shape)}, not {wanted}")
    if shape[0] < 0:
        raise sent.wrong(f"its shape is {shown(shape)}: {shown(shape[0])} is no number of rows")
    return shape[0]


# ---- numbers --------------------------------------------------------------------------------


def read_numbers(
    sent: Sent, rows: int, names: Sequence[str], *, missing: bool
) -> NDArray[np.float32]:
    """The numbers of an input.

    Args:
        sent: The input.
        rows: By its shape.
        names: Of its columns.
        missing: Whether the model takes missing numbers.

    Returns:
        float32 [rows, columns]; the body's own bytes where it has them like that.

    Raises:
        Invalid: They are not of the shape, or one is refused.
    """
    if sent.kind is BYTES:
        raise sent.wrong("it is BYTES; the model wants numbers here")
    where = sent.where
    if not sent.binary:
        return single(_json_numbers(sent, rows, names), names, missing=missing, where=where)
    stored = _stored(sent, rows, len(names))
    _check_elements(sent, stored, names)
    if sent.kind.name == "FP32":
        return as_they_are(_aligned(stored), names, missing=missing, where=where)
    if stored.itemsize <= _EXACT:
        return as_they_are(stored.astype(np.float32), names, missing=missing, where=where)
    return single(stored.astype(np.float64), names, missing=missing, where=where)


def _stored(sent: Sent, rows: int, width: int) -> NDArray[Any]:
    assert sent.binary
    assert sent.kind.stored
    size = rows * width * sent.kind.stored.itemsize
    if size != sent.binary.size:
        raise sent.wrong(
            f"{sent.binary.size} bytes of binary data, where {sent.kind.name} of this shape is "
            f"{size}"
        )
    return sent.elements(rows * width).reshape(rows, width)


def _aligned(stored: NDArray[np.float32]) -> NDArray[np.float32]:
    """In place if it may be: float32 that stands at an odd address is undefined in C and C++."""
    return stored if stored.flags.aligned else stored.copy()


def _check_elements(sent: Sent, stored: NDArray[Any], names: Sequence[str]) -> None:
    if sent.kind.name == "BOOL":
        _refuse(sent, stored, stored > 1, names, "is no BOOL, which is 0 or 1")
    elif sent.kind.name in {"INT64", "UINT64"}:
        beyond = (stored > LARGEST_WHOLE) | (stored < -LARGEST_WHOLE)
        _refuse(sent, stored, beyond, names, f"is {INEXACT}")


def _refuse(
    sent: Sent, stored: NDArray[Any], odd: NDArray[np.bool_], names: Sequence[str], why: str
) -> None:
    if odd.any():
        row, column = divmod(int(odd.argmax()), len(names))
        raise refused(sent.where, row, names[column], f"{stored[row, column]} {why}")


def _json_numbers(sent: Sent, rows: int, names: Sequence[str]) -> NDArray[np.float64]:
    """float64 [rows, columns], a missing one NaN."""
    data = _decoded(sent)
    values = None if data is None else _quick_numbers(data, sent, rows, len(names))
    if values is None or not _plain(values, sent.kind):
        return _careful_numbers(data, sent, rows, names)
    return _rounded(values) if sent.kind.name == "FP16" else values


def _plain(values: NDArray[np.float64], kind: Datatype) -> bool:
    """Whether no element needs a second look; a missing one does not."""
    low, high = kind.plain
    return near(values, min(-low, high)) or bool(
        np.fmin.reduce(values, axis=None) >= low and np.fmax.reduce(values, axis=None) <= high
    )


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values.astype(np.float16).astype(np.float64)


def _quick_numbers(data: Any, sent: Sent, rows: int, width: int) -> NDArray[np.float64] | None:
    """None where the data needs a second look, element by element."""
    try:
        values = np.array(data, dtype=np.float64)
    except (ValueError, OverflowError):
        return None
    nested = values.ndim == 2  # noqa: PLR2004 - rows of columns
    if values.size != rows * width or (nested and values.shape != tuple(sent.tensor.shape)):
        return None
    return values.reshape(rows, width)


def _careful_numbers(data: Any, sent: Sent, rows: int, names: Sequence[str]) -> NDArray[np.float64]:
    width = len(names)
    if sent.whole > strict.CLOSELY:
        _laid_out(data, sent, rows, width)  # what is wrong goes before what is too large
    cells = _laid_out(_written(sent), sent, rows, width)
    values = np.empty(len(cells), dtype=np.float64)
    for at, cell in enumerate(cells):
        try:
            values[at] = element(cell, sent.kind)
        except ValueError as error:
            raise refused(sent.where, at // width, names[at % width], str(error)) from None
    return values.reshape(rows, width)


# ---- text -----------------------------------------------------------------------------------


def read_texts(sent: Sent, rows: int, names: Sequence[str]) -> Sequence[str | None]:
    """The texts of an input, row by row, as they were sent; None where one is missing.

    Raises:
        Invalid: They are not of the shape, or one is no text.
    """
    if sent.kind is not BYTES:
        raise sent.wrong(f"it is {sent.kind.name}; the model wants text here, which is BYTES")
    return _binary_texts(sent, rows, names) if sent.binary else _json_texts(sent, rows, names)


def _json_texts(sent: Sent, rows: int, names: Sequence[str]) -> list[str | None]:
    width = len(names)
    cells = _laid_out(_read(sent), sent, rows, width)
    for at, cell in enumerate(cells):
        if type(cell) is not str and cell is not None:
            raise refused(sent.where, at // width, names[at % width], f"{named(cell)} is no text")
    return cells


def _read(sent: Sent) -> Any:
    data = _decoded(sent)
    return _written(sent) if data is None else data


def _decoded(sent: Sent) -> Any:
    """The data; None where a second look, at a small document, is to say what is wrong with it.

    A large one is decoded but once, for it takes long.
    """
    try:
        return sent.decoder.decode(sent.data)
    except strict.MALFORMED as error:
        if sent.whole > strict.CLOSELY:
            raise sent.wrong(brief(error)) from None
        return None


def _written(sent: Sent) -> Any:
    return strict.written(bytes(sent.data), sent.whole)


def _binary_texts(sent: Sent, rows: int, names: Sequence[str]) -> list[str]:
    assert sent.binary
    content = memoryview(sent.binary.body)[sent.binary.start :][: sent.binary.size]
    count, width = rows * len(names), len(names)
    if count > MOST:
        raise TooLarge(f"the request has {count} texts; at most {MOST} may be asked at once")
    cells: list[str] = []
    try:
        end = _fill(cells, content, count)
    except ValueError as error:
        row, column = divmod(len(cells), width)
        raise refused(sent.where, row, names[column], str(error)) from None
    if end < len(content):
        raise sent.wrong(f"{len(content) - end} bytes are left over behind {count} texts")
    return cells


def _fill(cells: list[str], content: memoryview, count: int) -> int:
    """Read so many texts; in one loop, for a call for each takes as long as to read it.

    Returns:
        Where the last one ends.

    Raises:
        ValueError: The next one goes beyond the content, or is not UTF-8.
    """
    at, size = 0, len(content)
    for _ in range(count):
        begin = at + _LENGTH
        if begin > size:
            raise ValueError(f"the binary data ends after {size} bytes")
        (length,) = _length(content, at)
        at = begin + length
        if at > size:
            raise ValueError(f"{length} bytes of text, where {size - begin} are left")
        try:
            cells.append(str(content[begin:at], "utf-8"))
        except UnicodeDecodeError as error:
            raise ValueError(f"the text is not UTF-8 at its byte {error.start}") from None
    return at


# ---- typed columns --------------------------------------------------------------------------


def read_cells(sent: Sent, rows: int, name: str) -> Sequence[Any]:
    """The elements of an input of one column, of whatever datatype; None where one is missing.

    A float has the digits that tell it from others of its datatype, so that 0.1 is 0.1.

    Raises:
        Invalid: They are not of the shape, or one is none of the datatype.
    """
    if sent.kind is BYTES:
        return read_texts(sent, rows, [name])
    stored = _stored(sent, rows, 1) if sent.binary else _json_elements(sent, rows, name)
    if sent.kind.name == "BOOL":
        _check_elements(sent, stored, [name])
        return list(stored[:, 0].astype(np.bool_).tolist())
    if not sent.kind.floating:
        return list(stored[:, 0].tolist())
    infinite = np.isinf(stored)
    _refuse(sent, stored, infinite, [name], "is not a finite number")
    return [None if value != value else float(str(value)) for value in stored[:, 0]]  # noqa: PLR0124 - NaN


def _json_elements(sent: Sent, rows: int, name: str) -> NDArray[Any]:
    """As they would be stored: [rows, 1]."""
    found = []
    for at, cell in enumerate(_laid_out(_read(sent), sent, rows, 1)):
        try:
            found.append(exact_element(cell, sent.kind))
        except ValueError as error:
            raise refused(sent.where, at, name, str(error)) from None
    return np.array(found, dtype=sent.kind.stored).reshape(rows, 1)


# ---- layout ---------------------------------------------------------------------------------


def _laid_out(data: Any, sent: Sent, rows: int, width: int) -> list[Any]:
    """The elements of JSON data, row-major: it is flat, or nested as the shape says.

    Raises:
        Invalid: It is neither.
    """
    if not isinstance(data, list):
        raise sent.wrong("its data is no array")
    nested = len(sent.tensor.shape) > 1 and list in set(map(type, data))
    if not nested:
        return _counted(data, sent, rows * width)
    _counted(data, sent, rows)
    for at, row in enumerate(data, 1):
        if not isinstance(row, list) or len(row) != width:
            raise sent.wrong(f"row {at} of its data has not the {width} elements of its shape")
    return list(chain.from_iterable(data))


def _counted(data: list[Any], sent: Sent, count: int) -> list[Any]:
    if len(data) != count:
        shape = shown(sent.tensor.shape)
        raise sent.wrong(f"its data has {len(data)} elements, where its shape {shape} has {count}")
    return data
