"""What was seen of one revision while it served.

Belongs here: the record, how two of them add up, and the edges of its buckets. Does not: where the
figures are counted (aggregate.py), and what follows from them (server/canary.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest

_BASES = (1.0, 1.5, 2.0, 3.0, 5.0, 7.5)
LATENCY_EDGES = (
    *(round(base * 10.0**power, 6) for power in range(-4, 1) for base in _BASES),
    10.0,
)
"""Upper ends, in seconds, of the buckets that answers are counted in; one more is open."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Counts of one revision, over all serving processes.

    Args:
        requests: Those it was chosen for and answered, rightly or not. What it refused is not
            among them.
        errors: Those of them that failed (5xx).
        refused: Further ones that it was chosen for and were turned away as the client's own fault
            (4xx), which may be its own: it may ask for what clients do not send.
        latency: Of `requests`, by the bucket of `LATENCY_EDGES` that their seconds fall in.
        bins: Predictions (rows) by bin.
    """

    requests: int = 0
    errors: int = 0
    refused: int = 0
    latency: tuple[int, ...] = ()
    bins: tuple[int, ...] = ()

    @property
    def asked(self) -> int:
        """All requests that it was chosen for."""
        return self.requests + self.refused

    def __add__(self, other: Observed) -> Observed:
        return self._with(other, 1)

    def __sub__(self, earlier: Observed) -> Observed:
        """What was seen between the earlier look and this one."""
        return self._with(earlier, -1)

    def _with(self, other: Observed, sign: int) -> Observed:
        return Observed(
            requests=self.requests + sign * other.requests,
            errors=self.errors + sign * other.errors,
            refused=self.refused + sign * other.refused,
            latency=_paired(self.latency, other.latency, sign),
            bins=_paired(self.bins, other.bins, sign),
        )


def _paired(one: tuple[int, ...], other: tuple[int, ...], sign: int) -> tuple[int, ...]:
    return tuple(a + sign * b for a, b in zip_longest(one, other, fillvalue=0))
