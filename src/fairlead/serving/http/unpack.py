"""Content-Encoding: unpacking a body as it comes.

Belongs here: which encodings are known, and one unpacker for each. Does not: limits on what comes
out (body.py), which every piece is handed to before the next is made.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from http import HTTPStatus
from typing import Protocol

from fairlead.serving.http.response import Refused

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
