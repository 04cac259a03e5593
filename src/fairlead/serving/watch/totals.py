"""A summary and a histogram that many observations are added to at once.

Belongs here: that. Does not: anything else about metrics (metrics.py).

The client library's own `observe` takes one value; a request for 10,000 rows has 10,000, and a
tenth of a second has many requests.
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import Histogram, Summary


class Totals(Summary):
    """A sum and a count."""

    def add(self, count: int, total: float) -> None:
        """Add so many observations with this sum."""
        self._count.inc(count)
        self._sum.inc(total)


class Durations(Histogram):
    """Counts by bucket, and a sum."""

    def add(self, counts: Mapping[int, int], total: float) -> None:
        """Add observations.

        Args:
            counts: By the place of their bucket among all.
            total: Their sum.
        """
        for place, count in counts.items():
            self._buckets[place].inc(count)
        self._sum.inc(total)
