"""How a request that was not answered with a prediction is told in the log."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from fairlead.errors import Failed, Invalid, NotLoaded, OutOfService, Overloaded, Unreachable
from fairlead.serving.request import RequestContext
from fairlead.serving.telemetry.counters import Metrics
from fairlead.serving.telemetry.logs import FEW
from fairlead.serving.telemetry.request_observer import RequestObserver, severity


@pytest.mark.parametrize(
    ("status", "error", "level"),
    [
        (200, None, logging.INFO),
        (400, Invalid("wrong"), logging.INFO),
        (429, Overloaded("too many"), logging.WARNING),
        (503, NotLoaded("still loading"), logging.WARNING),
        (503, None, logging.INFO),  # a probe
        (503, OutOfService("since noon"), logging.INFO),
        (503, Unreachable("nobody there"), logging.ERROR),
        (500, Failed("the model failed"), logging.ERROR),
        (500, ValueError("ours"), logging.ERROR),
        (500, None, logging.ERROR),
    ],
)
def test_only_what_was_not_meant_to_be_is_an_error(
    status: int, error: Exception | None, level: int
) -> None:
    assert severity(status, error) == level


@pytest.mark.parametrize(
    ("status", "error", "lines"),
    [
        (400, Invalid("wrong"), FEW),
        (429, Overloaded("too many"), FEW),
        (503, OutOfService("since noon"), FEW),
        (500, Failed("the model failed"), 3 * FEW),
    ],
)
def test_what_clients_can_cause_without_end_does_not_fill_the_log(
    status: int, error: Exception, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def many() -> None:
        observer = RequestObserver(Metrics(), None, logging.getLogger(), everything=False)
        for _ in range(3 * FEW):
            observer.answered(request(error), status)

    asyncio.run(many())
    assert len(caplog.records) == lines


def request(error: Exception) -> RequestContext:
    began = time.perf_counter()
    return RequestContext(
        method="POST", path=b"/", headers={}, id=b"1", began=began, target=None, error=error
    )
