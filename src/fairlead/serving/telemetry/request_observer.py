"""What each request leaves once it is answered: counts, a log line, a span."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from time import perf_counter
from typing import Any

from fairlead.errors import FairleadError, NotLoaded, OutOfService, Overloaded
from fairlead.serving.request import RequestContext
from fairlead.serving.telemetry.counters import Metrics
from fairlead.serving.telemetry.logs import LogRateLimit
from fairlead.serving.telemetry.traces import Traces

_BAD = 400
_FAULT = 500
_LONGEST_REASON = 300  # characters
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
_CELL = re.compile(rf"(row \d+, column (?:{_QUOTED.pattern}): )(.*)")


class RequestObserver:
    """Called at the start and end of every request.

    Args:
        metrics: What counts those for predictions.
        traces: What makes spans of all; None for none.
        log: Gets those that failed.
        everything: Log all requests.
    """

    def __init__(
        self, metrics: Metrics, traces: Traces | None, log: logging.Logger, *, everything: bool
    ) -> None:
        self._metrics = metrics
        self._traces = traces
        self._log = log
        self._least = 0 if everything else _BAD
        self._few = LogRateLimit(log)

    def began(self, request: RequestContext) -> None:
        """A request is there."""
        if self._traces is not None:
            request.span = self._traces.begin(request)

    def answered(self, request: RequestContext, status: int) -> None:
        """It is answered with this status."""
        seconds = perf_counter() - request.began
        if request.target is not None and request.target.posted:
            self._count(request, status, seconds)
        if status >= self._least:
            self._write(request, status, seconds)
        if self._traces is not None:
            self._traces.end(request, status)

    def _count(self, request: RequestContext, status: int, seconds: float) -> None:
        counted = self._metrics.of(request.model, request.revision)
        counted.answered(status, seconds)
        if request.pinned:
            counted.pinned.answered(status, seconds)

    def left(self, request: RequestContext) -> None:
        """The client did not wait for the answer."""
        self._log.debug("client left", extra=_fields(request, perf_counter() - request.began))
        if self._traces is not None:
            self._traces.end(request, None)

    def refused(self, status: int) -> None:
        """Something came over a connection that was no whole request."""
        self._metrics.refused(status)
        if self._log.isEnabledFor(logging.DEBUG) and self._is_logged(logging.DEBUG):
            self._log.debug("connection refused", extra={"fields": {"code": status}})

    def _is_logged(self, level: int) -> bool:
        """What clients can cause without end does not fill the disk, unless all is to be logged."""
        return not self._least or level >= logging.ERROR or self._few.admits()

    def _write(self, request: RequestContext, status: int, seconds: float) -> None:
        """A line, with the reason in the response; for a fault of ours, the exception's message."""
        level = severity(status, request.error)
        if not self._is_logged(level):
            return
        extra = _fields(request, seconds)
        extra["fields"]["code"] = status
        unexpected = request.error is not None and not isinstance(request.error, FairleadError)
        if request.error is not None:
            extra["fields"]["error"] = _reason(request.error)
        self._log.log(
            level,
            "request failed" if status >= _BAD else "request",
            extra=extra,
            exc_info=request.error if unexpected else None,
        )


def severity(status: int, error: Exception | None) -> int:
    """How bad it is that a request was answered so: what was meant to be is no error.

    Args:
        status: Of the answer.
        error: What it ended with; None where a page has answered, such as /readyz with 503.
    """
    if isinstance(error, (Overloaded, NotLoaded)):
        return logging.WARNING
    meant = status == HTTPStatus.SERVICE_UNAVAILABLE and (
        error is None or isinstance(error, OutOfService)
    )
    return logging.INFO if status < _FAULT or meant else logging.ERROR


def _reason(error: Exception) -> str:
    """In one short line, with names, without the content of cells."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = _CELL.sub(lambda found: found[1] + _QUOTED.sub("'...'", found[2]), text)
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."


def _fields(request: RequestContext, seconds: float) -> dict[str, dict[str, Any]]:
    path = request.path[:200].decode("latin-1")
    fields: Mapping[str, Any] = {
        "request": request.id.decode(),
        "method": request.method,
        "path": path,
        "model": request.model,
        "revision": request.revision,
        "rows": request.rows,
        "milliseconds": round(seconds * 1e3, 3),
    }
    return {"fields": {name: value for name, value in fields.items() if value not in {"", 0}}}
