"""Calls that take long, made in threads beside a loop that must not wait for them.

The threads are daemons: a check that hangs, or an address that does not answer, keeps no server
from ending. Nor does it block other calls for long: after a few seconds it gives its slot away.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

Result = TypeVar("Result")

_SLOW_AFTER = 5.0
"""Seconds after which a call no longer counts towards `max_parallel`: it may hang."""


def run_in_background(function: Callable[[], Result]) -> Future[Result]:
    """Call the function in a thread of its own; its error is in the future."""
    future: Future[Result] = Future()
    threading.Thread(target=_run, args=(function, future), daemon=True).start()
    return future


def _run(function: Callable[[], Result], future: Future[Result]) -> None:
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
        future.set_exception(error)
    else:
        future.set_result(result)


@dataclass(frozen=True, kw_only=True)
class CallOutcome(Generic[Result]):
    """How a call ended: with a result, or with an error."""

    result: Result | None = None
    error: Exception | None = None


class BackgroundCalls(Generic[Result]):
    """Calls of one kind, by key.

    Args:
        max_parallel: How many run at the same time; the others wait.
        on_finished: Called when one has ended.
        slow_after: Seconds after which a call lets the next one start.
    """

    def __init__(
        self, *, max_parallel: int, on_finished: Callable[[], None], slow_after: float = _SLOW_AFTER
    ) -> None:
        self._slots = threading.Semaphore(max_parallel)
        self._on_finished, self._slow_after = on_finished, slow_after
        self._futures: dict[Hashable, Future[Result]] = {}

    def poll(self, key: Hashable, function: Callable[[], Result]) -> CallOutcome[Result] | None:
        """How the call of this key ended; None while it runs, or where it starts only now.

        Args:
            key: Of the call; it is started where none of this key was started before.
            function: To call.
        """
        if key not in self._futures:
            self._futures[key] = self._start(function)
        future = self._futures[key]
        if not future.done():
            return None
        error = future.exception()
        if error is None:
            return CallOutcome(result=future.result())
        if not isinstance(error, Exception):
            raise error
        return CallOutcome(error=error)

    def forget(self, key: Hashable) -> None:
        """Start the call again when it is polled the next time."""
        self._futures.pop(key, None)

    def _start(self, function: Callable[[], Result]) -> Future[Result]:
        future = run_in_background(lambda: self._in_slot(function))
        future.add_done_callback(lambda _: self._on_finished())
        return future

    def _in_slot(self, function: Callable[[], Result]) -> Result:
        with self._slot():
            return function()

    @contextmanager
    def _slot(self) -> Iterator[None]:
        """A slot until the call ends or counts as slow, whichever is first."""
        released = threading.Lock()

        def release() -> None:
            if released.acquire(blocking=False):
                self._slots.release()

        self._slots.acquire()
        timer = threading.Timer(self._slow_after, release)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            release()
