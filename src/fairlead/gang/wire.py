"""Frames of a connection between a driver and a rank, and how each end proves who it is.

A frame is two lengths, a message as JSON, and float32 numbers, all little-endian. Before either end
reads a frame, it has seen a proof that the other knows the gang's secret: an HMAC over numbers that
both have just drawn. The proof says who speaks; it does not hide or seal what is said afterwards,
so the network between them is to be one's own.

What is read is written as generators that yield the buffer they need filled next: a rank fills it
by waiting, the driver with whatever has arrived.
"""

from __future__ import annotations

import hmac
import secrets
import socket
import struct
import sys
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from fairlead.errors import Forbidden

if TYPE_CHECKING:
    from fairlead.gang.work import Vector

T = TypeVar("T")
Filling: TypeAlias = Generator[memoryview, None, T]
"""Yields buffers that are to be filled, and gives what was made of them."""

GREETING = b"fairlead gang 1\n"
"""What a driver says first, so that a rank of another kind ends with a reason."""
_DRAWN = 32
PROOF = 32
"""Bytes that the driver proves itself by."""
CHALLENGE = len(GREETING) + _DRAWN
"""Bytes that a driver sends first."""
RESPONSE = _DRAWN + PROOF
"""Bytes that a rank answers with."""
REFUSAL = b"another gang has this secret\n".ljust(PROOF, b"\0")
"""What a driver says in place of its proof to who does not know the secret."""

_LENGTHS = struct.Struct("<IQ")
MOST_HEAD = 64 << 20
"""Bytes of the JSON of a frame: it may hold a spec."""
MOST_BODY = 16 << 30
"""Bytes of the numbers of a frame to a rank, whose driver has proved itself."""
_PIECE = 1 << 20
"""Bytes that are allotted on the word of the other end; then as many as have arrived."""
_ITEM = 4


class Malformed(ValueError):
    """Bytes that are no frame."""


def challenge() -> bytes:
    """What a driver sends first."""
    return GREETING + secrets.token_bytes(_DRAWN)


def response(secret: str, challenge: bytes) -> bytes:
    """What a rank answers a challenge with.

    Raises:
        Forbidden: It is no driver's.
    """
    if not challenge.startswith(GREETING):
        raise Forbidden(
            f"what listens there begins with {challenge[: len(GREETING)]!r} and is no driver of a "
            "gang; see what else has the port"
        )
    own = secrets.token_bytes(_DRAWN)
    return own + _proof(secret, b"rank", challenge + own)


def proves_rank(secret: str, challenge: bytes, response: bytes | bytearray) -> bool:
    """Whether who answered a challenge knows the secret."""
    drawn, proof = response[:_DRAWN], response[_DRAWN:]
    return hmac.compare_digest(proof, _proof(secret, b"rank", challenge + drawn))


def confirmation(secret: str, challenge: bytes, response: bytes | bytearray) -> bytes:
    """What a driver sends to a rank that has proved itself."""
    return _proof(secret, b"driver", challenge + response)


def refuse_driver(secret: str, challenge: bytes, response: bytes, proof: bytes) -> None:
    """Refuse a driver that does not know the secret.

    Raises:
        Forbidden: It does not, or says that this end does not.
    """
    if proof == REFUSAL:
        raise Forbidden(
            "the driver of the gang refuses the proof of this rank: the secret of this rank is "
            "that of another gang"
        )
    if not hmac.compare_digest(proof, confirmation(secret, challenge, response)):
        raise Forbidden("what listens there does not know the gang's secret")


def _proof(secret: str, who: bytes, drawn: bytes) -> bytes:
    return hmac.digest(secret.encode(), who + drawn, "sha256")


def frame(head: bytes, body: Vector | None = None) -> list[memoryview]:
    """The buffers of a frame, in order; the numbers are not copied."""
    numbers = memoryview(b"") if body is None else _bytes_of(body)
    start = _LENGTHS.pack(len(head), numbers.nbytes) + head
    return [memoryview(start), numbers] if numbers.nbytes else [memoryview(start)]


def _bytes_of(vector: Vector) -> memoryview:
    import numpy as np

    little = np.ascontiguousarray(vector, dtype="<f4")
    return little.data.cast("B") if little.size else memoryview(b"")


def reading(most: Callable[[], int] = lambda: MOST_BODY) -> Filling[tuple[bytearray, bytearray]]:
    """The JSON and the numbers of the next frame.

    Args:
        most: Asked, once its lengths have arrived, how many bytes of numbers it may have.

    Raises:
        Malformed: Its lengths are those of no frame, or beyond that.
    """
    lengths = bytearray(_LENGTHS.size)
    yield memoryview(lengths)
    head, body = _LENGTHS.unpack(lengths)
    bound = most()
    if not 0 < head <= MOST_HEAD or body > bound or body % _ITEM:
        raise Malformed(
            f"a frame of {head} bytes of JSON and {body} of numbers; the most are {MOST_HEAD} and "
            f"{bound} now"
        )
    message = yield from _arriving(head)
    numbers = yield from _arriving(body)
    return message, numbers


def _arriving(size: int) -> Filling[bytearray]:
    """So many bytes, for which memory is taken as they arrive."""
    content = bytearray(min(size, _PIECE))
    if size:
        yield memoryview(content)
    while (filled := len(content)) < size:
        more = bytearray(min(size, 2 * filled))
        more[:filled] = content
        content = more
        yield memoryview(content)[filled:]
    return content


def vector_of(content: bytearray) -> Vector:
    """The numbers of a frame, float32 [n], not to be written into."""
    import numpy as np

    vector = np.frombuffer(content, dtype="<f4").astype(np.float32, copy=False)
    vector.flags.writeable = False
    return vector


class Incoming:
    """What arrives on a connection, as far as it has.

    Args:
        protocol: What is read and done, for as long as the connection is used.
    """

    def __init__(self, protocol: Filling[None]) -> None:
        self._protocol = protocol
        self._wanted = next(protocol)

    def receive(self, connection: socket.socket) -> int:
        """Take what has arrived, and go on where that suffices; the number of bytes.

        Raises:
            BlockingIOError: Nothing has.
            ConnectionError: The connection has ended.
            OSError: It broke.
        """
        got = connection.recv_into(self._wanted)
        if not got:
            raise ConnectionError("it was closed")
        self._wanted = self._wanted[got:]
        while not len(self._wanted):
            self._wanted = next(self._protocol)
        return got


def receive(connection: socket.socket, filling: Filling[T]) -> T:
    """What a generator makes of the bytes that it needs, waited for.

    Raises:
        ConnectionError: The connection ended before.
    """
    while True:
        try:
            wanted = next(filling)
        except StopIteration as end:
            value: T = end.value
            return value
        fill(connection, wanted)


def fill(connection: socket.socket, wanted: memoryview) -> None:
    """Wait until the buffer is full.

    Raises:
        ConnectionError: The connection ended before.
    """
    while len(wanted):
        got = connection.recv_into(wanted)
        if not got:
            raise ConnectionError("the other end closed the connection")
        wanted = wanted[got:]


def prepare(connection: socket.socket) -> None:
    """Have a connection send small frames at once, and end where the other machine is gone."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
