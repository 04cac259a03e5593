"""The waits between the tries of something that others hold, or that is away for a while."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

_CHANCE = random.SystemRandom()  # no seed of the user's can put workers in step


class Backoff:
    """The waits before each further try, up to so many seconds.

    Random, because two writers in step would meet again and again.

    Args:
        seconds: After which there is no further try.
        longest: The most that the next wait may be, by the number of waits and their seconds so
            far.
    """

    def __init__(self, seconds: float, longest: Callable[[int, float], float]) -> None:
        self._until = time.monotonic() + seconds
        self._longest = longest
        self._tries = 0
        self._waited = 0.0

    def wait(self) -> bool:
        """Wait for the next try; False, at once, where there is no time left for one."""
        if time.monotonic() > self._until:
            return False
        wait = _CHANCE.uniform(0, self._longest(self._tries, self._waited))
        self._tries += 1
        self._waited += wait
        time.sleep(wait)
        return True


def doubled(shortest: float, longest: float) -> Callable[[int, float], float]:
    """Waits whose bound doubles with each try, from the shortest to the longest, in seconds."""

    def bound(tries: int, _waited: float) -> float:
        return min(shortest * 2.0 ** min(tries, 16), longest)

    return bound
