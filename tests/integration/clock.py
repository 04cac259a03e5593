"""A clock of the machine that a test can step, for the processes that it starts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tests.lacking import lacking

# libfaketime takes its step off the moment that a sleep by the monotonic clock is to end at, too,
# and where that is before the machine's start, the system refuses it (EINVAL).
SLEEP = """
import select, time

time.sleep = lambda seconds: select.select([], [], [], seconds) and None
"""
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


class Clock:
    """The clock that processes under libfaketime see; without the library the test is skipped."""

    def __init__(self, folder: Path) -> None:
        if not LIBRARIES:
            lacking("libfaketime is missing: install the package faketime")
        self.file = folder / "clock"
        self.programs = folder / "programs"
        self.programs.mkdir()
        (self.programs / "sitecustomize.py").write_text(SLEEP)
        self.step(timedelta())

    def step(self, by: timedelta) -> None:
        beside = self.file.with_suffix(".new")
        beside.write_text(f"{by.total_seconds():+.0f}")
        beside.replace(self.file)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": str(self.programs),
        }
