"""A summary that many observations are added to at once.

Belongs here: that. Does not: anything else about metrics (metrics.py).
"""

from __future__ import annotations

from prometheus_client import Summary


class Totals(Summary):
    """A sum and a count.

    The client library's own `observe` takes one value; a request for 10,000 rows has 10,000.
    """

    def add(self, count: int, total: float) -> None:
        """Add so many observations with this sum."""
        self._count.inc(count)
        self._sum.inc(total)
