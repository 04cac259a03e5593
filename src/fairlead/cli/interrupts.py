"""Ctrl-C as a request rather than an exception.

Belongs here: counting it, and the last line of a command that heeded it. Does not: what it leads
to (study/job.py).
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from fairlead.cli.output import note

if TYPE_CHECKING:
    from fairlead.study.job import Stop


@contextmanager
def counted(*, keeps: bool) -> Iterator[Stop]:
    """Counts SIGINT and SIGTERM: once finishes the tasks in hand, twice stops at once.

    Where there are none in hand yet, once stops at once.

    Args:
        keeps: Whether what is done by then is kept, so that the same command goes on.

    Raises:
        click.Abort: It was stopped; what became of it is said.
    """
    from fairlead.study.job import Stop, Stopped

    stop = Stop()

    def ask(*_: object) -> None:
        stop.ask()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    except Stopped as stopped:
        note(str(stopped) if keeps else "stopped: nothing of it is kept")
        raise click.Abort from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
