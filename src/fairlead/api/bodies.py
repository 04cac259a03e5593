"""The bodies of requests as they arrive: bounded in size, and in the time that they may take.

A body may take GRACE and the time that it needs at SLOWEST: who never sends it, or sends it byte by
byte, is not waited for. What all bodies together may hold of the memory is bounded as well.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from anyio import CancelScope, CapacityLimiter, to_thread
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from fairlead.errors import Overloaded, TooLarge

GRACE = 30.0  # seconds
SLOWEST = 16 * 1024.0  # bytes a second
_PIECE = 1 << 20
_AT_ONCE = 16  # files that arrive
_THREADS = 8

Result = TypeVar("Result")


class TooSlow(Exception):
    """The body did not come in time."""


class Disconnected(Exception):
    """The client went away before its body was there."""


class Held:
    """The bytes of all bodies that are in memory. The first SMALL of each are not counted.

    So who sends large bodies keeps out others who do, and nobody else; and no caller all others.

    Args:
        most: That there may be at once; of one caller half as many.
    """

    SMALL = 64 * 1024

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[str] = Counter()

    @contextmanager
    def one(self, caller: str) -> Iterator[Callable[[int], None]]:
        """Count a body until this ends; called with the bytes that are there of it.

        The call raises Overloaded where there are too many.
        """
        mine = 0

        def grown(size: int) -> None:
            nonlocal mine
            more = max(0, size - self.SMALL) - mine
            if self._held[caller] + more > self._most // 2:
                raise Overloaded("you have many large requests in hand; try again soon")
            if self._held.total() + more > self._most:
                raise Overloaded("the server has many large requests in hand; try again soon")
            self._held[caller] += more
            mine += more

        try:
            yield grown
        finally:
            self._held[caller] -= mine
            if not self._held[caller]:
                del self._held[caller]


def too_large(most: int) -> TooLarge:
    """The error of a body of more bytes."""
    return TooLarge(f"the body has more than {most} bytes")


def refuse_announced(scope: Scope, most: int) -> None:
    """Refuse a body that is announced as too large before any of it is read.

    Raises:
        TooLarge: It is.
    """
    announced = Headers(scope=scope).get("content-length", "0")
    if not announced.isdecimal() or int(announced) > most:
        raise too_large(most)


async def parts(receive: Receive, most: int) -> AsyncIterator[bytes]:
    """The body as it arrives.

    Raises:
        TooLarge: It has more bytes.
        TooSlow: It does not come in time.
        Disconnected: The client went away.
    """
    began, size = time.monotonic(), 0
    while True:
        message = await _in_time(receive, began + GRACE + size / SLOWEST)
        if message["type"] != "http.request":
            raise Disconnected
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise too_large(most)
        if part:
            yield part
        if not message.get("more_body"):
            return


async def pieces(receive: Receive, most: int) -> AsyncIterator[bytes]:
    """The body in pieces of a size that is worth a thread's while. Raises as `parts`.

    What arrived before something was raised is given first.
    """
    waiting: list[bytes] = []
    size = 0
    try:
        async for part in parts(receive, most):
            waiting.append(part)
            size += len(part)
            if size >= _PIECE:
                yield b"".join(waiting)
                waiting, size = [], 0
    except (TooSlow, Disconnected):
        if waiting:
            yield b"".join(waiting)
        raise
    if waiting:
        yield b"".join(waiting)


async def whole(receive: Receive, most: int, grown: Callable[[int], None]) -> bytes:
    """All of the body. Raises as `parts`, and what `grown` raises of the size so far."""
    body = bytearray()
    async for part in parts(receive, most):
        grown(len(body) + len(part))
        body += part
    return bytes(body)


async def _in_time(receive: Receive, until: float) -> Message:
    try:
        async with asyncio.timeout(max(0.0, until - time.monotonic())):
            return await receive()
    except TimeoutError:
        raise TooSlow from None


class Arrivals:
    """The files that arrive at a server: only so many at once, in threads of their own."""

    def __init__(self) -> None:
        self._arriving = 0
        self._threads: CapacityLimiter | None = None

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count a file that arrives. Raises Overloaded where there are too many."""
        if self._arriving >= _AT_ONCE:
            raise Overloaded(f"{_AT_ONCE} files arrive at this moment; try again soon")
        self._arriving += 1
        try:
            yield
        finally:
            self._arriving -= 1

    async def in_thread(self, work: Callable[[], Result]) -> Result:
        """The work's value; it is waited for also where the request is given up meanwhile."""
        self._threads = self._threads or CapacityLimiter(_THREADS)  # of the loop that runs
        with CancelScope(shield=True):
            value = await to_thread.run_sync(work, limiter=self._threads)
        return value  # noqa: RET504 - a scope may swallow what is raised, as types have it
