"""How bad a request that was not answered with a prediction is called in the log."""

from __future__ import annotations

import logging

import pytest

from fairlead.errors import Failed, Invalid, NotLoaded, OutOfService, Overloaded, Unreachable
from fairlead.serving.watch.witness import severity


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
