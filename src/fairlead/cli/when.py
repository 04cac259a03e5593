"""Times as people read them: UTC, so that two machines show the same.

Belongs here: one way to write a time. Does not: durations.
"""

from __future__ import annotations

from datetime import UTC, datetime


def utc(seconds: float) -> str:
    """The time to the second, such as 2026-11-21T05:42:35Z.

    Args:
        seconds: Since the epoch.
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
