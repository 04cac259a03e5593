"""Work that takes long, beside a loop that must not wait for it.

Belongs here: threads and their futures. Does not: what they do.

The threads are daemons: a check that hangs, or an address that does not answer, keeps no server
from ending. Nor does it keep other jobs waiting for long.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

Result = TypeVar("Result")

_LONG = 5.0
"""Seconds after which a job no longer counts among those that are done at the same time: it may
hang."""


def run_in_background(work: Callable[[], Result]) -> Future[Result]:
    """Begin the work in a thread of its own; how it ends is looked at where that is asked for."""
    future: Future[Result] = Future()
    threading.Thread(target=_carry_out, args=(work, future), daemon=True).start()
    return future


def _carry_out(work: Callable[[], Result], future: Future[Result]) -> None:
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - it is looked at where the job is asked for
        future.set_exception(error)
    else:
        future.set_result(result)


@dataclass(frozen=True, kw_only=True)
class CallOutcome(Generic[Result]):
    """How a job ended: with a result, or with an error."""

    result: Result | None = None
    error: Exception | None = None


class BackgroundCalls(Generic[Result]):
    """Jobs of one kind, by key.

    Args:
        at_once: How many are done at the same time; the others wait.
        ended: Called when one has ended.
        long: Seconds after which one lets the next begin.
    """

    def __init__(self, *, at_once: int, ended: Callable[[], None], long: float = _LONG) -> None:
        self._slots = threading.Semaphore(at_once)
        self._ended, self._long = ended, long
        self._futures: dict[Hashable, Future[Result]] = {}

    def done(self, key: Hashable, work: Callable[[], Result]) -> CallOutcome[Result] | None:
        """How this job ended; None as long as it goes on, or where it begins only now.

        Args:
            key: Of the job; it is begun where none of this key was begun before.
            work: What to do.
        """
        if key not in self._futures:
            self._futures[key] = self._begun(work)
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
        """Begin it anew when it is asked for the next time."""
        self._futures.pop(key, None)

    def _begun(self, work: Callable[[], Result]) -> Future[Result]:
        future = run_in_background(lambda: self._do(work))
        future.add_done_callback(lambda _: self._ended())
        return future

    def _do(self, work: Callable[[], Result]) -> Result:
        with self._slot():
            return work()

    @contextmanager
    def _slot(self) -> Iterator[None]:
        """A slot, until the end of the work or of its patience, whichever is first."""
        held = threading.Lock()

        def give_back() -> None:
            if held.acquire(blocking=False):
                self._slots.release()

        self._slots.acquire()
        timer = threading.Timer(self._long, give_back)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            give_back()
