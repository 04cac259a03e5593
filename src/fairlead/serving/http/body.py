"""Request bodies, read and unpacked within limits.

A limit holds before and while bytes come, never after: a body whose announced length is too large
is refused unread, one that grows too large as soon as it does, packed or not.
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Protocol, TypeAlias

from fairlead.errors import Overloaded, TooLarge
from fairlead.serving.http.response import Gone, Refused
from fairlead.serving.settings import Limits

_MOST_MEMBERS = 1_024  # of one gzip body: each may be empty, and costs time all the same
_WINDOWS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}  # window bits that name zlib's containers


class Unpacker(Protocol):
    """Unpacks one body."""

    def pieces(self, chunk: bytes, most: int) -> Iterator[bytes]:
        """What this further chunk unpacks to, in pieces of at most `most` bytes and one more.

        Raises:
            Refused: It is not packed as was said.
        """

    def end(self) -> None:
        """No more chunks come.

        Raises:
            Refused: There should have been more.
        """


class _Plain:
    def pieces(self, chunk: bytes, most: int) -> Iterator[bytes]:  # noqa: ARG002 - the Protocol's
        yield chunk

    def end(self) -> None:
        pass


class _Packed:
    def __init__(self, encoding: bytes) -> None:
        self._encoding = encoding
        self._member = self._new_member()
        self._members = 1

    def pieces(self, chunk: bytes, most: int) -> Iterator[bytes]:
        while chunk:
            if self._member.eof:
                self._next_member()
            try:
                yield self._member.decompress(chunk, most + 1)
            except zlib.error as error:
                raise self._wrong(str(error)) from None
            chunk = self._member.unconsumed_tail or self._member.unused_data

    def end(self) -> None:
        if not self._member.eof:
            raise self._wrong("it ends too early")

    def _new_member(self) -> zlib._Decompress:
        return zlib.decompressobj(_WINDOWS[self._encoding])

    def _next_member(self) -> None:
        """A gzip file may be several, one after the other."""
        self._members += 1
        if self._encoding == b"deflate" or self._members > _MOST_MEMBERS:
            raise self._wrong("there is more behind its end")
        self._member = self._new_member()

    def _wrong(self, what: str) -> Refused:
        encoding = self._encoding.decode()
        return Refused(HTTPStatus.BAD_REQUEST, f"unpacking the body ({encoding}): {what}")


def unpacker(encoding: bytes) -> Unpacker:
    """What unpacks bodies of this Content-Encoding; empty for none.

    Raises:
        Refused: It is not known (415).
    """
    name = encoding.strip().lower()
    if name in {b"", b"identity"}:
        return _Plain()
    if name in _WINDOWS:
        return _Packed(name)
    raise Refused(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        f"Content-Encoding {encoding.decode('latin-1')!r} is not known; send gzip, deflate or none",
        (b"accept-encoding", b"gzip, deflate"),
    )


Receive: TypeAlias = Callable[[], Awaitable[Any]]  # ASGI's
Heads: TypeAlias = Mapping[bytes, bytes]  # headers by their names in lower case


class Bodies:
    """Reads bodies, and keeps count of the bytes in hand.

    Args:
        limits: Of this process.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = 0

    @property
    def held(self) -> int:
        """Bytes of bodies that are in hand."""
        return self._held

    async def read(self, receive: Receive, headers: Heads) -> bytes:
        """The whole body, unpacked; `release` it once it is done with.

        Args:
            receive: ASGI's.
            headers: The request's headers.

        Raises:
            TooLarge: It is, or will be, larger than a body may be.
            Overloaded: All bodies in hand together are larger than they may be.
            Refused: It is packed in a way that is not known (415) or
                wrongly (400).
            Gone: The client left.
        """
        self._check_length(headers)
        unpack = unpacker(headers.get(b"content-encoding", b""))
        filling = _Filling()
        try:
            await self._fill(filling, receive, unpack)
        finally:
            self._held -= filling.size
        body = filling.whole()
        self._held += len(body)
        return body

    def release(self, body: bytes) -> None:
        """This body is in hand no more."""
        self._held -= len(body)

    async def _fill(self, filling: _Filling, receive: Receive, unpack: Unpacker) -> None:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            more = message.get("more_body", False)
            for piece in unpack.pieces(message["body"], self._limits.body - filling.size):
                filling.add(piece)
                self._held += len(piece)
                self._check(filling.size)
        unpack.end()

    def _check_length(self, headers: Heads) -> None:
        if int(headers.get(b"content-length", b"0")) > self._limits.body:  # digits: the parser saw
            raise self._too_large()

    def _check(self, size: int) -> None:
        if size > self._limits.body:
            raise self._too_large()
        if self._held > self._limits.bodies:
            raise Overloaded(
                f"the bodies in hand are {self._limits.bodies} bytes together, the most that this "
                "process holds; send this one again in a moment"
            )

    def _too_large(self) -> TooLarge:
        return TooLarge(
            f"the body is larger than {self._limits.body} bytes; send fewer rows in one request"
        )


class _Filling:
    """A body that is coming."""

    def __init__(self) -> None:
        self.size = 0
        self._pieces: list[bytes] = []

    def add(self, piece: bytes) -> None:
        self.size += len(piece)
        if piece:
            self._pieces.append(piece)

    def whole(self) -> bytes:
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
