"""Asking the supervisor for the page, over a real socket pair."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fairlead.serving.channel import Channel, opened
from fairlead.serving.plan import Message, Page, Scrape, decode, encode


class Supervisor:
    """The other end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def asked(self) -> Message:
        return decode(await self._reader.readline())

    def answers(self, number: int, text: str) -> None:
        self.writer.write(encode(Page(number=number, text=text)))


async def _taking_in(channel: Channel) -> None:
    async for _ in channel.messages():
        pass


@asynccontextmanager
async def joined() -> AsyncIterator[tuple[Channel, Supervisor]]:
    ours, theirs = socket.socketpair()
    supervisor = Supervisor(*await asyncio.open_unix_connection(sock=ours))
    channel = await opened(theirs.detach())
    taking = asyncio.create_task(_taking_in(channel))
    try:
        yield channel, supervisor
    finally:
        taking.cancel()
        await channel.close()
        supervisor.writer.close()


def test_a_page_answers_all_who_asked_before_it_was_written() -> None:
    async def go() -> None:
        async with joined() as (channel, supervisor):
            asking = [asyncio.create_task(channel.page()) for _ in range(3)]
            assert [await supervisor.asked() for _ in asking] == [
                Scrape(number=number) for number in (1, 2, 3)
            ]
            supervisor.answers(2, "first")
            assert [await one for one in asking[:2]] == ["first", "first"]
            assert not asking[2].done()
            supervisor.answers(3, "second")
            assert await asking[2] == "second"

    asyncio.run(go())


def test_an_answer_that_nobody_waits_for_any_more_is_none_of_the_next_ones() -> None:
    async def go() -> None:
        async with joined() as (channel, supervisor):
            gone = asyncio.create_task(channel.page())
            await supervisor.asked()
            gone.cancel()
            asking = asyncio.create_task(channel.page())
            await supervisor.asked()
            supervisor.answers(1, "too late")
            supervisor.answers(2, "in time")
            assert await asking == "in time"

    asyncio.run(go())


def test_a_page_of_many_megabytes_comes_over() -> None:
    async def go() -> None:
        async with joined() as (channel, supervisor):
            asking = asyncio.create_task(channel.page())
            await supervisor.asked()
            supervisor.answers(1, "x\n" * (5 << 20))
            assert await asking == "x\n" * (5 << 20)

    asyncio.run(go())


def test_a_serving_process_does_not_load_the_library_that_writes_the_page() -> None:
    program = "import sys, fairlead.serving.process; print('prometheus_client' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
