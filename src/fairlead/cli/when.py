"""Times as people read them: UTC, so that two machines show the same.

Belongs here: how a time is written for programs and for people. Does not: durations.
"""

from __future__ import annotations

from datetime import UTC, datetime


def utc(seconds: float) -> str:
    """The time to the second, such as 2026-11-21T05:42:35Z: in JSON and CSV.

    Args:
        seconds: Since the epoch.
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def second(seconds: float) -> str:
    """The time to the second, such as 2026-11-21 05:42:35: in tables of what comes in a minute.

    Args:
        seconds: Since the epoch.
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def minute(seconds: float) -> str:
    """The time to the minute, such as 2026-11-21 05:42: in tables.

    Args:
        seconds: Since the epoch.
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
