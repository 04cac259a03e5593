"""Waiting for what another process or thread does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

DEADLINE = 120.0
"""Seconds that suffice on a machine that is full of other tests."""


def wait_until(
    condition: Callable[[], Any], *, seconds: float = DEADLINE, every: float = 0.01
) -> Any:
    """The condition's value once it is true; fails at the deadline."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(every)
    raise AssertionError(f"did not become true within {seconds:g} s: {condition}")
