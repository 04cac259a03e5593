"""The log of a serving program and its processes, on standard error.

Lines are written by a thread of their own, from a bounded queue: a reader of standard error that
stops reading stops no request. What finds the queue full is dropped and counted.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from logging.handlers import QueueHandler, QueueListener
from queue import Full, Queue
from typing import TextIO, TypeAlias

import msgspec

from fairlead.serving.settings import Logging
from fairlead.serving.telemetry import foreign

Later: TypeAlias = Callable[[float, Callable[[], None]], object]

NAME = "fairlead.serving"
FEW = 20  # lines of what was refused in one second

_MOST = 10_000  # lines that wait


@contextmanager
def written(settings: Logging, stream: TextIO | None = None) -> Iterator[logging.Logger]:
    """The logger, until all its lines are written; what else is logged meanwhile is written, too.

    Args:
        settings: What is written, and how.
        stream: Where; standard error if None.
    """
    stream = stream or sys.stderr
    target = logging.StreamHandler(stream)
    target.setFormatter(Lines() if is_for_people(settings, stream) else Objects())
    queue = Dropping(Queue(_MOST))
    listener = QueueListener(queue.queue, target)
    logger = _logger(settings.level, queue)
    listener.start()
    try:
        with foreign.logged(logger, queue):
            yield logger
    finally:
        logger.removeHandler(queue)
        listener.stop()


def is_for_people(settings: Logging, stream: TextIO) -> bool:
    """Whether lines are written as people read them."""
    return settings.form == "lines" or (settings.form == "auto" and stream.isatty())


class Dropping(QueueHandler):
    """Puts records into a queue; those that find it full are counted, and reported later."""

    def __init__(self, queue: Queue[logging.LogRecord]) -> None:
        super().__init__(queue)
        self.dropped = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """The record itself: it stays in this process, and is formatted by the other thread."""
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        """Put it in, or drop it."""
        record.dropped = self.dropped
        try:
            self.queue.put_nowait(record)
        except Full:
            self.dropped += 1
        else:
            self.dropped = 0


class LogRateLimit:
    """Of lines that a client can cause without end, those of one second that are written.

    The rest are counted, and logged in one line once the second is over.

    Args:
        log: Where that line goes.
        later: Calls a function so many seconds from now; by the running event loop, if None.
    """

    def __init__(self, log: logging.Logger, later: Later | None = None) -> None:
        self._log = log
        self._later = later or _by_loop
        self._admitted = 0
        self._more = 0

    def admits(self) -> bool:
        """Whether one more may be written; else it is counted."""
        if not self._admitted:
            self._later(1.0, self._end)
        if self._admitted < FEW:
            self._admitted += 1
            return True
        self._more += 1
        return False

    def _end(self) -> None:
        more, self._admitted, self._more = self._more, 0, 0
        if more:
            self._log.info("more were refused in that second", extra={"fields": {"more": more}})


def _by_loop(seconds: float, call: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(seconds, call)


class _Formatter(logging.Formatter):
    def raised(self, record: logging.LogRecord) -> str:
        """The traceback, where there is one: libraries ask for it without an exception, too."""
        error = record.exc_info
        return self.formatException(error) if error is not None and error[0] else ""


class Objects(_Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's line."""
        document = {
            "at": utc(record.created),
            "level": record.levelname.lower(),
            "message": _message(record),
            "process": record.process,
            **_fields(record),
        }
        if record.name != NAME:
            document["logger"] = record.name
        if raised := self.raised(record):
            document["traceback"] = raised
        return as_object(document)


def utc(seconds: float) -> str:
    """A time since the epoch, as it stands in a line."""
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{at}.{int(seconds % 1 * 1000):03d}Z"


def as_object(document: Mapping[str, object]) -> str:
    """A line; half a character, which a file's name may hold, is written out."""
    try:
        return msgspec.json.encode(document).decode()
    except UnicodeEncodeError:
        whole = {name: _whole(value) for name, value in document.items()}
        return msgspec.json.encode(whole).decode()


def _whole(value: object) -> object:
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    return value


def _message(record: logging.LogRecord) -> str:
    """What it says; a library may have given it arguments that do not fit."""
    try:
        return record.getMessage().strip()
    except Exception:  # noqa: BLE001 - whatever a value raises when it is written as text
        return f"{record.msg} {record.args!r}"


class Lines(_Formatter):
    """A line for people: of a request no more than what it asked and what came of it."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's line, and what was raised below it."""
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{at} {record.levelname.lower():7} {_in_words(record)}"
        raised = self.raised(record)
        return f"{line}\n{raised}" if raised else line


def _fields(record: logging.LogRecord) -> dict[str, object]:
    dropped = getattr(record, "dropped", 0)
    fields: dict[str, object] = getattr(record, "fields", {})
    return {**fields, "dropped_before": dropped} if dropped else fields


def _in_words(record: logging.LogRecord) -> str:
    fields = _fields(record)
    if "path" not in fields:
        source = "" if record.name == NAME else f"{record.name}: "
        return source + _message(record) + "".join(_pairs(fields))
    asked = [fields.get(name) for name in ("code", "method", "path", "revision")]
    said = " ".join(_shown(value) for value in asked if value is not None)
    line = f"{said} {fields['milliseconds']} ms"
    return f"{line}: {_line(fields['error'])}" if "error" in fields else line


def _pairs(fields: Mapping[str, object]) -> Iterator[str]:
    return (f" {name}={_shown(value)}" for name, value in fields.items())


def _line(value: object) -> str:
    """The text with what a terminal would act upon written out."""
    text = str(value)
    return text if text.isprintable() else repr(text)


def _shown(value: object) -> str:
    text = str(value)
    return text if text.isprintable() and " " not in text else repr(text)


def _logger(level: str, handler: logging.Handler) -> logging.Logger:
    logger = logging.getLogger(NAME)
    logger.setLevel(level.upper())
    logger.propagate = False
    logger.addHandler(handler)
    return logger
