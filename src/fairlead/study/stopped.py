"""Workers that were stopped and hold others up.

Belongs here: noticing and ending them. Does not: replacing them (local.py).
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeAlias

Process: TypeAlias = subprocess.Popen[bytes]

_LOOKS = 8
"""Looks at each in the time that it may be stopped."""


class Watchman(threading.Thread):
    """Kills workers that stay stopped (SIGSTOP) past their lease.

    Their task is lost to them. And one may have been stopped in the middle of a write: then nobody
    writes to the ledger while it lives, not even who looks after the workers; hence a thread.

    Args:
        processes: Gives those that are there now.
        seconds: How long each may be stopped.
    """

    def __init__(self, processes: Callable[[], Iterable[Process]], *, seconds: float) -> None:
        super().__init__(name="watchman", daemon=True)
        self._processes = processes
        self._seconds = seconds
        self._done = threading.Event()

    def run(self) -> None:
        """Look at them until told to end."""
        since: dict[Process, float] = {}
        while not self._done.wait(self._seconds / _LOOKS):
            stopped = [process for process in self._processes() if is_stopped(process)]
            now = time.monotonic()
            since = {process: since.get(process, now) for process in stopped}
            for process in stopped:
                if now - since[process] > self._seconds:
                    process.kill()

    def end(self) -> None:
        """Look no more."""
        self._done.set()
        self.join()


def is_stopped(process: Process) -> bool:
    """Whether it was told to stop (SIGSTOP), and is still there."""
    import psutil

    try:
        return psutil.Process(process.pid).status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False  # it has ended
