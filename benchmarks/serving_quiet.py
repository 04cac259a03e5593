"""Measuring where other programs run, too: a measurement that they disturbed is made again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import psutil

T = TypeVar("T")

_QUIET = 0.1  # processors that others may take, in a measurement that is not made again


@dataclass(frozen=True, kw_only=True)
class Taken(Generic[T]):
    """What was measured, and how many processors others took meanwhile, on average."""

    value: T
    others: float


@dataclass(frozen=True, kw_only=True)
class Quietly:
    """Measures up to so many times, and keeps what was measured when others did least.

    What is kept is chosen by what others did, never by what came out.

    Args:
        tries: How many times.
        ours: Seconds of the processor that what is measured has taken, this program left out.
    """

    tries: int
    ours: Callable[[], float]

    def measure(self, what: Callable[[], T]) -> Taken[T]:
        """Until it was quiet."""
        taken = [self._once(what)]
        while taken[-1].others > _QUIET and len(taken) < self.tries:
            taken.append(self._once(what))
        return min(taken, key=lambda one: one.others)

    def _once(self, what: Callable[[], T]) -> Taken[T]:
        began, before = time.monotonic(), self._others()
        value = what()
        return Taken(value=value, others=(self._others() - before) / (time.monotonic() - began))

    def _others(self) -> float:
        """Seconds of the processor that neither we nor what is measured took."""
        own = os.times()
        mine = own.user + own.system + own.children_user + own.children_system
        return _busy() - mine - self.ours()


def _busy() -> float:
    """Seconds that all processors were not idle; `guest` is part of `user`."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    guest = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return sum(times) - idle - guest
