"""Ctrl-C as a request rather than an exception.

Belongs here: counting it. Does not: what it leads to (study/job.py).
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fairlead.study.job import Stop


@contextmanager
def counted() -> Iterator[Stop]:
    """Counts SIGINT and SIGTERM: once finishes the tasks in hand, twice stops at once."""
    from fairlead.study.job import Stop

    stop = Stop()

    def ask(*_: object) -> None:
        stop.asked += 1

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
