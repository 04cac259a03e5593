"""What is counted of one revision, in plain numbers, and how a process is.

Belongs here: counting, at every request, and adding up. Does not: which revisions there are
(metrics.py in a process, aggregate.py over all of them), and their page (prometheus.py).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fairlead.serving.telemetry.observed import LATENCY_EDGES

SERVER_ERRORS = 500
CLIENT_ERRORS = 400


@dataclass(frozen=True, kw_only=True)
class Sight:
    """How a process is at this moment."""

    memory: float  # bytes, resident
    cpu: float  # seconds, since it began
    files: int  # open
    connections: int
    bodies: int  # bytes of requests in hand


@dataclass(frozen=True, kw_only=True, slots=True)
class Now:
    """How one revision is in one process, when last looked; `Counted` says what each is."""

    in_flight: int
    queued: int
    load: float
    loaded: int


@dataclass(kw_only=True, slots=True)
class Tally:
    """Counts.

    Args:
        codes: Answers by their status.
        latency: Answers by the bucket that their seconds fall in; not those that failed by the
            client's fault, which have none.
        seconds: Of the same, their sum.
        bins: Predictions by bin.
        rows: Predictions of numbers.
        total: Their sum.
    """

    codes: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    latency: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    seconds: float = 0.0
    bins: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    rows: int = 0
    total: float = 0.0

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

    def add(self, more: Tally) -> None:
        """Count what another one has counted, too."""
        _add(self.codes, more.codes)
        _add(self.latency, more.latency)
        _add(self.bins, more.bins)
        self.seconds += more.seconds
        self.rows += more.rows
        self.total += more.total


@dataclass(kw_only=True, slots=True)
class Counted(Tally):
    """Counts, and how things are. A process fills it in and empties it by telling it.

    Args:
        pinned: Those of the counts that came by requests that named the revision. They are few,
            so that a request of the shared traffic, which is what a judge sees, is counted once.
        in_flight: Requests in hand, now.
        queued: Those that wait for the model, when last looked.
        load: Seconds that its last loading took.
        loaded: 1 while the process holds the model, else 0, when last looked.
    """

    pinned: Tally = field(default_factory=Tally)
    in_flight: int = 0
    queued: int = 0
    load: float = 0.0
    loaded: int = 0

    @property
    def now(self) -> Now:
        """How things are."""
        return Now(in_flight=self.in_flight, queued=self.queued, load=self.load, loaded=self.loaded)

    @property
    def has_counts(self) -> bool:
        """Whether anything was counted since it was empty."""
        return bool(self.codes or self.bins or self.rows)

    def taken(self) -> Counted:
        """All of this; the counts begin from nothing again here."""
        taken = replace(self)
        self.codes, self.latency, self.bins = (defaultdict(int) for _ in range(3))
        self.seconds, self.rows, self.total = 0.0, 0, 0.0
        self.pinned = Tally()
        return taken


def _add(counts: dict[int, int], more: Mapping[int, int]) -> None:
    for key, count in more.items():
        counts[key] += count
