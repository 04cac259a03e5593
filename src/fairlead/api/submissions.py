"""Submissions of clients: each in a process of its own, only so many at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from anyio import CancelScope, to_thread
from starlette.responses import Response

from fairlead.api.problems import problem
from fairlead.api.submitting import Order, Reply
from fairlead.errors import Failed, Overloaded
from fairlead.ledger.interface import OpenRequest
from fairlead.ledger.requests import SqlOpenRequest

_AT_ONCE = 2
_WAITING = 64
_SECONDS = 600.0
_LAST = 5.0  # seconds that a line may take once its process has ended
_LONGEST = 1 << 24  # bytes of an answer


class Submissions:
    """The submissions that are being carried out."""

    def __init__(self) -> None:
        self._turns: asyncio.Semaphore | None = None
        self._known = 0

    async def carried_out(self, order: Order, request: OpenRequest | None) -> Response:
        """Carry out an order, and answer what came of it.

        Args:
            order: What to submit.
            request: Under whose key it is asked for, if it has one.

        Raises:
            Overloaded: Too many wait already.
            Failed: The process that does it ended without an answer.
        """
        if self._known >= _AT_ONCE + _WAITING:
            raise Overloaded(f"{_WAITING} submissions wait already; try again soon")
        self._turns = self._turns or asyncio.Semaphore(_AT_ONCE)  # of the loop that runs
        self._known += 1
        try:
            async with self._turns:
                reply = await _replied(_under(order, request))
        finally:
            self._known -= 1
        if reply is None:
            said = f"what was submitted could not be checked within {_SECONDS:g} s"
            return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "too_slow", said)
        if reply.is_answered_elsewhere:
            assert isinstance(request, SqlOpenRequest)
            request.is_answered_elsewhere = True
            request.refuse_answered()
        headers = {"Location": reply.location} if reply.location else {}
        return Response(reply.body, reply.status, headers, reply.media_type)


def _under(order: Order, request: OpenRequest | None) -> Order:
    """The order with the request that its process answers: nothing is kept of it here."""
    if not isinstance(request, SqlOpenRequest):
        return order
    request.answer_with(lambda _: None)
    return msgspec.structs.replace(order, request=request.request)


async def _replied(order: Order) -> Reply | None:
    """The reply of a process; None where it takes too long.

    Its folder is removed here, however it ends: the client's code may end it at any moment.
    """
    folder = tempfile.mkdtemp(prefix="fairlead-client-")
    try:
        return await _replied_in(folder, order)
    finally:
        with CancelScope(shield=True):
            await to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))


async def _replied_in(folder: str, order: Order) -> Reply | None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe:
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # a file in the current folder shadows no module
                "-m",
                "fairlead.api.submitting",
                str(writing),
                folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[writing],
                start_new_session=True,
            )
        finally:
            os.close(writing)
        try:
            async with asyncio.timeout(_SECONDS):
                said = await _said(process, pipe, order)
        except TimeoutError:
            return None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and what the client's code has started
            with CancelScope(shield=True):
                await process.wait()
    if not said:
        raise Failed(
            "submitting: the process that checks the spec ended without an answer "
            f"(status {process.returncode}); a family may have ended it"
        )
    return msgspec.json.decode(said, type=Reply)


async def _said(process: asyncio.subprocess.Process, pipe: BinaryIO, order: Order) -> bytes:
    """What the process answers, in a line; nothing where it ends before."""
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(order, enc_hook=_plain) + b"\n")
    lines = asyncio.StreamReader(limit=_LONGEST)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), pipe
    )
    line = asyncio.create_task(lines.readline())
    end = asyncio.create_task(process.wait())
    try:
        await asyncio.wait({line, end}, return_when=asyncio.FIRST_COMPLETED)
        async with asyncio.timeout(_LAST):  # what it has started may hold its end of the pipe
            return await line
    except TimeoutError:
        return b""
    finally:
        line.cancel()
        end.cancel()
        transport.close()


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value))
