"""When a serving process that died is replaced.

Belongs here: rules over counts and times. Does not: processes (process_pool.py), clocks.
"""

from __future__ import annotations

YOUNG = 3.0
"""A process that ends within so many seconds of its start died young."""
MANY = 5
"""So many young deaths in a row, and the reason lies in the program or the machine."""
_FIRST, _LONGEST = 0.1, 10.0


def young_deaths(before: int, *, lived: float) -> int:
    """How many have died young in a row, now that another has died.

    Args:
        before: How many had until then.
        lived: Seconds that this one did.
    """
    return before + 1 if lived < YOUNG else 0


def pause(young: int) -> float:
    """Seconds until the next is started; none for the first, which may be anybody's accident."""
    return 0.0 if young <= 1 else float(min(_FIRST * 2 ** min(young - 2, 10), _LONGEST))
