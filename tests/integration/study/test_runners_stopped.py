"""Workers that are stopped for too long are ended, and no others."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
from tests.support.waiting import wait_until

from fairlead.runners.local import Process, StoppedWorkerWatchdog, is_stopped

ALLOWED = 1.0


@pytest.fixture
def three() -> Iterator[list[Process]]:
    processes = [subprocess.Popen(["sleep", "600"]) for _ in range(3)]
    yield processes
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def watchdog(three: list[Process]) -> Iterator[StoppedWorkerWatchdog]:
    watchdog = StoppedWorkerWatchdog(lambda: tuple(three), seconds=ALLOWED)
    watchdog.start()
    yield watchdog
    watchdog.end()


def test_one_that_stays_stopped_is_ended_and_one_that_goes_on_is_not(
    three: list[Process], watchdog: StoppedWorkerWatchdog
) -> None:
    stays, returns, never = three
    returns.send_signal(signal.SIGSTOP)
    wait_until(lambda: is_stopped(returns))
    returns.send_signal(signal.SIGCONT)
    began = time.monotonic()
    stays.send_signal(signal.SIGSTOP)
    assert stays.wait(30) == -signal.SIGKILL
    assert time.monotonic() - began >= ALLOWED
    assert [returns.poll(), never.poll()] == [None, None]


def test_one_that_has_ended_is_not_stopped(
    three: list[Process], watchdog: StoppedWorkerWatchdog
) -> None:
    three[0].kill()
    wait_until(lambda: not is_stopped(three[0]))
    three[0].wait()
    assert not is_stopped(three[0])
    assert watchdog.is_alive()
