"""How many lines a client can cause."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from fairlead.serving.telemetry.logs import FEW, LogRateLimit


class Clock:
    """What is to be called later, in order."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        assert seconds == 1.0
        self.calls.append(call)

    def second(self) -> None:
        due, self.calls = self.calls, []
        for call in due:
            call()


def more(caplog: pytest.LogCaptureFixture) -> list[int]:
    return [record.fields["more"] for record in caplog.records]  # type: ignore[attr-defined] # ours


@pytest.fixture
def clock(caplog: pytest.LogCaptureFixture) -> Clock:
    caplog.set_level(logging.INFO)
    return Clock()


def test_of_many_lines_in_a_second_the_rest_is_told_in_one(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    few = LogRateLimit(logging.getLogger(), clock.later)
    assert [few.admits() for _ in range(1_000)].count(True) == FEW
    assert len(clock.calls) == 1
    clock.second()
    assert more(caplog) == [1_000 - FEW]
    assert [few.admits() for _ in range(FEW + 1)].count(True) == FEW
    clock.second()
    assert more(caplog) == [1_000 - FEW, 1]


def test_where_all_are_written_nothing_more_is_told(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    few = LogRateLimit(logging.getLogger(), clock.later)
    for _ in range(3):
        assert all(few.admits() for _ in range(FEW))
        clock.second()
    assert not more(caplog)
    assert not clock.calls
