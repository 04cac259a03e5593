"""Work in threads, off the event loop, with results that come back to it as futures.

All threads are daemons: one that never ends, because a disk does not answer, keeps no process from
ending, which a thread of asyncio's own pool would.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import traceback
from collections.abc import Callable
from functools import partial
from typing import TypeAlias, TypeVar

Result = TypeVar("Result")
_Call: TypeAlias = Callable[[], None]


def run_in_thread(work: Callable[[], Result]) -> asyncio.Future[Result]:
    """Do this in a thread of its own.

    Args:
        work: Its exceptions are the future's.
    """
    call, future = _call_of(work)
    threading.Thread(target=call, daemon=True, name="fairlead-aside").start()
    return future


class SerialExecutor:
    """One thread that does one thing after another, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def run(self, work: Callable[[], Result]) -> asyncio.Future[Result]:
        """Do this after all that was asked for before; not at all once the future is cancelled."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True, name="fairlead-serial")
            self._thread.start()
        call, future = _call_of(work)
        self._calls.put(call)
        return future

    def close(self) -> None:
        """Let the thread end after what was asked for before."""
        self._calls.put(None)

    def _work(self) -> None:
        while call := self._calls.get():
            call()
            del call  # or it would keep a session in memory until the next one comes


def _call_of(work: Callable[[], Result]) -> tuple[_Call, asyncio.Future[Result]]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def deliver(settle: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody asks any more
            loop.call_soon_threadsafe(_unless_cancelled, future, settle)

    def call() -> None:
        if future.cancelled():
            return
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - it is raised where the future is awaited
            traceback.clear_frames(error.__traceback__)  # they may hold a whole file
            deliver(partial(future.set_exception, error))
        else:
            deliver(partial(future.set_result, result))

    return call, future


def _unless_cancelled(future: asyncio.Future[Result], settle: Callable[[], None]) -> None:
    if not future.cancelled():
        settle()
