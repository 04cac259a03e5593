"""Rules of a revision's life: whether a request is admitted, when to unload, when to retry a load.

Pure functions of counts and times.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from fairlead.records import Allowance

Refusal: TypeAlias = Literal["too many at once", "queue full"]

AT_ONCE = 0.002
"""Seconds that a request may hold up all others of its process: what takes less is not worth the
way to a thread and back (about 0.1 ms), what takes more goes there."""
CHUNK = 0.004
"""Seconds of one part of a large request; between two parts others have their turn."""
_MOST_ROWS = 8192  # of a part: their arrays are to stay in the processor's cache
_FIRST_PAUSE = 0.05
_ASKED_PAUSE = 0.5
_LONGEST_PAUSE = 10.0
_SLOW = 5.0
_SLOW_BYTES = 10 << 20  # that the slowest disk or object store worth waiting for gives in a second


def refusal(*, in_hand: int, waiting: int, loaded: bool, allowance: Allowance) -> Refusal | None:
    """Why one more request is turned away, if it is.

    Args:
        in_hand: Requests that the revision answers or holds.
        waiting: Those of them that wait until it is loaded.
        loaded: Whether it is.
        allowance: The revision's.
    """
    if in_hand >= allowance.max_concurrency:
        return "too many at once"
    if not loaded and waiting >= allowance.queue:
        return "queue full"
    return None


def unload_in(*, now: float, used: float, in_hand: int, idle_after: float | None) -> float | None:
    """Seconds until a revision is to be unloaded, 0 if it is time; None: not as things are.

    Args:
        now: The time.
        used: When its last request ended.
        in_hand: Requests that it has.
        idle_after: The revision's allowance.
    """
    if idle_after is None or in_hand:
        return None
    return max(0.0, used + idle_after - now)


def pause(failures: int, *, asked: bool) -> float:
    """Seconds until a load that failed is tried again.

    Args:
        failures: How many loads have failed, one after the other.
        asked: Whether requests wait for it; else it is only to be ready for them.
    """
    doubled = _FIRST_PAUSE * 2.0 ** min(failures - 1, 16)
    return min(doubled, _ASKED_PAUSE if asked else _LONGEST_PAUSE)


def slow_after(size: int) -> float:
    """Seconds after which a load is called slow: it is reported, and others no longer wait for it.

    Args:
        size: Bytes of the file.
    """
    return _SLOW + size / _SLOW_BYTES


def rows_at_once(rows: int, seconds: float) -> int | None:
    """Rows of each part in which a request is answered; None: it is small, and no part is needed.

    Args:
        rows: Of the request.
        seconds: That one row takes.
    """
    if rows * seconds <= AT_ONCE:
        return None
    return max(1, min(_MOST_ROWS, int(CHUNK / seconds)))
