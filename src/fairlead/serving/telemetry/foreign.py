"""What Python and other libraries have to say, as lines of the log like any other.

Libraries log to loggers of their own, Python writes warnings and the tracebacks of threads to
standard error as text: whoever reads the log as JSON would trip over each of them. What a library
in C writes goes past all this; of a serving process its supervisor puts it into lines
(server/stderr.py).
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType


@contextmanager
def logged(log: logging.Logger, handler: logging.Handler) -> Iterator[None]:
    """Has all of it logged, until the end of the block.

    Args:
        log: Gets what nobody caught.
        handler: Writes what libraries log.
    """
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        with warnings.catch_warnings(), _hooked(log):
            logging.captureWarnings(capture=True)
            yield
    finally:
        logging.captureWarnings(capture=False)
        root.removeHandler(handler)


@contextmanager
def _hooked(log: logging.Logger) -> Iterator[None]:
    """Python's hooks for exceptions that nobody caught."""
    before = sys.excepthook, threading.excepthook, sys.unraisablehook

    def uncaught(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        log.critical("uncaught exception", exc_info=(kind, error, trace))

    def of_thread(found: threading.ExceptHookArgs) -> None:
        if found.exc_value is None or isinstance(found.exc_value, SystemExit):
            return
        name = found.thread.name if found.thread else "that is gone"
        log.error("uncaught exception in thread %s", name, exc_info=found.exc_value)

    def unraisable(found: sys.UnraisableHookArgs) -> None:
        log.error("%s: %r", found.err_msg or "ignored in", found.object, exc_info=found.exc_value)

    sys.excepthook, threading.excepthook, sys.unraisablehook = uncaught, of_thread, unraisable
    try:
        yield
    finally:
        sys.excepthook, threading.excepthook, sys.unraisablehook = before
