"""The serving process's end of the socket pair to its supervisor: messages in and out.

A request for the metrics page gets a number, and the page that comes back names the last number
that it answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator

from fairlead.errors import Unreachable
from fairlead.serving.plan import Message, Page, Report, Scrape, decode, encode

_LONGEST = 64 << 20  # bytes of a message: a plan names every model with its columns and classes
_PATIENCE = 2.0  # seconds that the supervisor has to answer
_PARTING = 1.0  # seconds for it to read the last messages


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
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[str]] = {}

    async def messages(self) -> AsyncIterator[Message]:
        """What comes, but for answers to what was asked here, until the supervisor is gone."""
        while line := await self._line():
            match decode(line):
                case Page() as page:
                    self._take(page)
                case message:
                    yield message

    @property
    def is_full(self) -> bool:
        """Whether the supervisor has messages to read before it takes more."""
        return self._writer.transport.get_write_buffer_size() > 0

    def send(self, message: Message) -> None:
        """Send this, unless the supervisor is gone."""
        if not self._writer.is_closing():
            self._writer.write(encode(message))

    def report(self, report: Report) -> None:
        """Send the report, if it differs from the last one."""
        if report != self._last:
            self._last = report
            self.send(report)

    async def page(self) -> str:
        """The page for Prometheus, asked of the supervisor.

        Raises:
            Unreachable: It does not answer.
        """
        number = next(self._numbers)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self.send(Scrape(number=number))
        try:
            async with asyncio.timeout(_PATIENCE):
                return await answer
        except TimeoutError as error:
            raise Unreachable(
                "asking the supervisor for the figures of all processes: no answer for "
                f"{_PATIENCE:g} s; predictions go on, ask again"
            ) from error
        finally:
            del self._asked[number]

    async def close(self) -> None:
        """Close, once all that was sent has been read, or after a second."""
        self._writer.close()
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(_PARTING):
                await self._writer.wait_closed()

    def _take(self, page: Page) -> None:
        for number, answer in self._asked.items():
            if number <= page.number and not answer.done():
                answer.set_result(page.text)

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
