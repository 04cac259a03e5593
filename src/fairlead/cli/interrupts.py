"""Ctrl-C and SIGTERM as a request to stop rather than an exception."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from fairlead.cli.output import note

if TYPE_CHECKING:
    from fairlead.study.stop import StopRequest


_AGAIN = 0.4
"""Seconds after which an exception that was raised in vain is raised again: where Python runs the
handler inside a callback, as in the midst of an import, it only prints the exception."""


@contextmanager
def counted(*, keeps: bool, lost: str = "stopped: nothing of it is kept") -> Iterator[StopRequest]:
    """Counts SIGINT and SIGTERM: once finishes the tasks in hand, twice stops at once.

    Where there are none in hand yet, once stops at once.

    Args:
        keeps: Whether what is done by then is kept, so that the same command goes on.
        lost: What is said where it is not.

    Raises:
        click.Abort: It was stopped; what became of it is said.
    """
    from fairlead.study.stop import Stopped, StopRequest

    stop = StopRequest()

    def ask(*_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
        stop.ask()

    def remind(*_: object) -> None:
        stop.heed()

    handlers = {signal.SIGINT: ask, signal.SIGTERM: ask, signal.SIGALRM: remind}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield stop
    except Stopped as stopped:
        note(str(stopped) if keeps else lost)
        raise click.Abort from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, former in before.items():
            signal.signal(number, former)
