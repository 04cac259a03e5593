"""What one process has counted of one revision, in plain numbers.

Belongs here: counting, at every request. Does not: the figures in files that this becomes ten times
a second (metrics.py), where each costs as much as all of these.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from fairlead.serving.watch.observed import LATENCY_EDGES

SERVER_ERRORS = 500
CLIENT_ERRORS = 400


@dataclass(kw_only=True, slots=True)
class Counted:
    """Counts since they were last written down, and how things are. It is filled in and emptied.

    Args:
        codes: Answers by their status.
        latency: Answers by the bucket that their seconds fall in; not those that failed by the
            client's fault, which have none.
        seconds: Of the same, their sum.
        bins: Predictions by bin.
        rows: Predictions of numbers.
        total: Their sum.
        in_flight: Requests in hand, now.
        queued: Those that wait for the model, when last looked.
        load: Seconds that its last loading took.
        loaded: 1 while the process holds the model, else 0, when last looked.
    """

    codes: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    latency: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    seconds: float = 0.0
    bins: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    rows: int = 0
    total: float = 0.0
    in_flight: int = 0
    queued: int = 0
    load: float = 0.0
    loaded: int = 0

    def answered(self, status: int, seconds: float) -> None:
        """A request was answered.

        Args:
            status: Of the answer.
            seconds: From its head to its answer.
        """
        self.codes[status] += 1
        if not CLIENT_ERRORS <= status < SERVER_ERRORS:
            self.latency[bisect_left(LATENCY_EDGES, seconds)] += 1
            self.seconds += seconds

    def predicted(self, bins: Mapping[int, int], total: float | None, rows: int) -> None:
        """Predictions were made.

        Args:
            bins: How many fell into which bin.
            total: Their sum; None for classes, which have none.
            rows: How many they are.
        """
        for index, count in bins.items():
            self.bins[index] += count
        if total is not None:
            self.rows += rows
            self.total += total
