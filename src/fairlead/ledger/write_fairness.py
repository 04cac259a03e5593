"""Whose turn it is to begin the next write.

Belongs here: fairness among the processes that want to write to one SQLite file. Does not: the
lock itself, which is SQLite's.

SQLite gives its lock to whoever asks first once it is free. That is mostly the one that has just
let go of it, since the others are asleep between two tries; on a busy machine they starved for
seconds. So only the one that has the turn tries, all others try for the turn, and the one that
has just written is one of these.
"""

from __future__ import annotations

import fcntl
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SHORTEST_WAIT = 0.0003  # seconds, about one commit
_LONGEST_WAIT = 0.005
_SOON = 0.05
_LONGEST_TURN = 0.5


@contextmanager
def turn(file: Path) -> Iterator[None]:
    """Have the turn, or have waited long enough to go without.

    The turn is a courtesy: a process that was stopped while it had it must not hold up the others,
    and where the file cannot be made SQLite itself will say what is wrong.

    Args:
        file: What is locked; made if it is not there. The kernel unlocks it when a process dies.
    """
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        yield
        return
    try:
        _wait_for(handle)
        yield
    finally:
        os.close(handle)


def waits() -> Iterator[float]:
    """Seconds to wait before each further try.

    Random, because two writers in step would meet again and again. Short at first, since a commit
    is short; then longer, since many may wait; and shorter again for who has waited long, since
    who tries more often is let in sooner.
    """
    source = random.SystemRandom()  # no seed of the user's can put workers in step
    waited = 0.0
    while True:
        wait = source.uniform(0, _longest_wait(waited))
        waited += wait
        yield wait


def _longest_wait(waited: float) -> float:
    if waited < _SOON:
        return min(_SHORTEST_WAIT + waited, _LONGEST_WAIT)
    return max(_LONGEST_WAIT * _SOON / waited, _SHORTEST_WAIT)


def _wait_for(handle: int) -> None:
    until = time.monotonic() + _LONGEST_TURN
    for wait in waits():
        if _locked(handle) or time.monotonic() > until:
            return
        time.sleep(wait)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
