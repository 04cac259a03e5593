"""The serving process's end of the socket pair.

Belongs here: messages in and out. Does not: what they say (plan.py) and what follows (life.py).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

from fairlead.serving.plan import BEAT, Alive, Message, Report, decode, encode

_LONGEST = 64 << 20  # bytes of a message: a plan names every model with its columns and classes


class Channel:
    """Messages of the supervisor, and reports to it.

    Args:
        reader: Of the socket.
        writer: Of the socket.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._last: Report | None = None

    async def messages(self) -> AsyncIterator[Message]:
        """What comes, until the supervisor is gone."""
        while line := await self._line():
            yield decode(line)

    def report(self, report: Report) -> None:
        """Tell how far this process is, if that is news."""
        if report != self._last and not self._writer.is_closing():
            self._last = report
            self._writer.write(encode(report))

    async def beat(self) -> None:
        """Say again and again that the loop goes round."""
        while not self._writer.is_closing():
            self._writer.write(encode(Alive()))
            await asyncio.sleep(BEAT)

    def close(self) -> None:
        """Say no more."""
        self._writer.close()

    async def _line(self) -> bytes:
        try:
            return await self._reader.readline()
        except ConnectionError:
            return b""


async def opened(number: int) -> Channel:
    """The channel over this inherited file.

    Args:
        number: Of the file.
    """
    ours = socket.socket(fileno=number)
    return Channel(*await asyncio.open_unix_connection(sock=ours, limit=_LONGEST))
