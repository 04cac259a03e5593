"""What a process counts: per revision, in plain numbers, at every request.

`Metrics` holds the counters of one process and hands out what is new (`Counts`); counts add up.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from fairlead.records import Observed

_BASES = (1.0, 1.5, 2.0, 3.0, 5.0, 7.5)
LATENCY_EDGES = (
    *(round(base * 10.0**power, 6) for power in range(-4, 1) for base in _BASES),
    10.0,
)
"""Upper ends, in seconds, of the buckets that answers are counted in; one more is open."""


SERVER_ERRORS = 500
CLIENT_ERRORS = 400


@dataclass(frozen=True, kw_only=True)
class ProcessSample:
    """How a process is at this moment."""

    memory: float  # bytes, resident
    cpu: float  # seconds, since it began
    files: int  # open
    connections: int
    bodies: int  # bytes of requests in hand


@dataclass(frozen=True, kw_only=True, slots=True)
class Now:
    """Gauges of one revision in one process; `RevisionCounters` says what each is."""

    in_flight: int
    queued: int
    load: float
    loaded: int


@dataclass(kw_only=True, slots=True)
class Counters:
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

    def add(self, more: Counters) -> None:
        """Count what another one has counted, too."""
        _add(self.codes, more.codes)
        _add(self.latency, more.latency)
        _add(self.bins, more.bins)
        self.seconds += more.seconds
        self.rows += more.rows
        self.total += more.total


@dataclass(kw_only=True, slots=True)
class RevisionCounters(Counters):
    """Counts, and how things are. A process fills it in and empties it by reporting it.

    Args:
        pinned: Those of the counts that came by requests that named the revision. They are few,
            so that a request of the shared traffic, which is what a judge sees, is counted once.
        in_flight: Requests in hand, now.
        queued: Those that wait for the model, when last looked.
        load: Seconds that its last loading took.
        loaded: 1 while the process holds the model, else 0, when last looked.
    """

    pinned: Counters = field(default_factory=Counters)
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

    def taken(self) -> RevisionCounters:
        """All of this; the counts begin from nothing again here."""
        taken = replace(self)
        self.codes, self.latency, self.bins = (defaultdict(int) for _ in range(3))
        self.seconds, self.rows, self.total = 0.0, 0, 0.0
        self.pinned = Counters()
        return taken


def _add(counts: dict[int, int], more: Mapping[int, int]) -> None:
    for key, count in more.items():
        counts[key] += count


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What a process has counted since it reported last, and how it is; what is as it was, is not
    repeated.

    Args:
        counted: Model, revision, and what was counted of it.
        refused: Connections closed for what came over them, by the status of the answer.
        sample: How the process is; None where it has not looked at itself since.
    """

    counted: tuple[tuple[str, str, RevisionCounters], ...] = ()
    refused: Mapping[int, int] = field(default_factory=dict)
    sample: ProcessSample | None = None


class Metrics:
    """All that one process counts."""

    def __init__(self) -> None:
        self._counted: dict[tuple[str, str], RevisionCounters] = {}
        self._refused: Counter[int] = Counter()
        self._sample: ProcessSample | None = None
        self._reported: dict[tuple[str, str], Now] = {}
        self.of = cache(self._of)

    def _of(self, model: str, revision: str) -> RevisionCounters:
        """What is counted of this revision; both are empty for requests that named none we know."""
        self._counted[model, revision] = counted = RevisionCounters()
        return counted

    def refused(self, status: int) -> None:
        """A connection was closed for what came over it, with this status."""
        self._refused[status] += 1

    def see(self, sample: ProcessSample) -> None:
        """Take this sample of the process."""
        self._sample = sample

    def news(self) -> Counts | None:
        """What was counted, and what else is new, since this was asked last; None if nothing is."""
        news = [(*key, one.taken()) for key, one in self._counted.items() if self._is_news(key)]
        self._reported |= {(model, revision): one.now for model, revision, one in news}
        counts = Counts(counted=tuple(news), refused=self._refused, sample=self._sample)
        self._refused, self._sample = Counter(), None
        return counts if counts != _NOTHING else None

    def _is_news(self, key: tuple[str, str]) -> bool:
        counted = self._counted[key]
        return counted.has_counts or counted.now != self._reported.get(key)


_NOTHING = Counts()


# ---- all processes of a server ----------------------------------------------------------------
#
# Their counts, summed by the supervisor. They are in memory: a server that ends forgets them, as
# Prometheus expects of one that starts again.


class Aggregate:
    """Counts summed over all processes. For one thread, but for `observations` and `until`."""

    def __init__(self) -> None:
        self.counted: defaultdict[tuple[str, str], RevisionCounters] = defaultdict(RevisionCounters)
        """By model and revision; their counts, not how things are."""
        self.refused: Counter[int] = Counter()
        """Connections that were closed for what came over them, by the status of the answer."""
        self.stats: dict[int, ProcessSample] = {}
        """How each process is, by its number."""
        self._until: dict[int, float] = {}
        self._now: defaultdict[int, dict[tuple[str, str], Now]] = defaultdict(dict)
        self._lock = threading.Lock()

    def add(self, process: int, counts: Counts) -> None:
        """Add what a process has counted.

        Args:
            process: Its number.
            counts: Since its last report.
        """
        with self._lock:
            for model, revision, counted in counts.counted:
                known = self.counted[model, revision]
                known.add(counted)
                known.pinned.add(counted.pinned)
                self._now[process][model, revision] = counted.now
        self.refused.update(counts.refused)
        if counts.sample is not None:
            self.stats[process] = counts.sample

    def alive(self, process: int, at: float) -> None:
        """A process has reported all that it counted until then.

        Args:
            process: Its number.
            at: By the machine's rising clock.
        """
        with self._lock:
            self._until[process] = at

    def until(self) -> float:
        """The time, by the same clock, until which all that was counted is known."""
        with self._lock:
            return min(self._until.values(), default=float("-inf"))

    def forget(self, process: int) -> None:
        """A process has ended: what it counted stays, what it was does not."""
        with self._lock:
            self._until.pop(process, None)
        self.stats.pop(process, None)
        self._now.pop(process, None)

    def now(self, model: str, revision: str) -> list[Now]:
        """How this revision is in each process that has reported it."""
        key = (model, revision)
        return [known[key] for known in self._now.values() if key in known]

    def observations(self) -> Mapping[tuple[str, str], Observed]:
        """What was seen of each revision in the shared traffic since the server began.

        Requests that name a revision count neither for it nor against it: one client could have a
        good one rolled back, or a bad one promoted.

        Returns:
            By model and revision.
        """
        with self._lock:
            return dict(self._observations())

    def _observations(self) -> Iterator[tuple[tuple[str, str], Observed]]:
        for (model, revision), counted in self.counted.items():
            if revision:
                yield (model, revision), _observed(counted) - _observed(counted.pinned)


def _observed(counted: Counters) -> Observed:
    good = sum(n for status, n in counted.codes.items() if status < CLIENT_ERRORS)
    failed = sum(n for status, n in counted.codes.items() if status >= SERVER_ERRORS)
    return Observed(
        requests=good + failed,
        errors=failed,
        refused=sum(counted.codes.values()) - good - failed,
        latency=_dense(counted.latency, len(LATENCY_EDGES) + 1),
        bins=_dense(counted.bins, max(counted.bins, default=-1) + 1),
    )


def _dense(counts: Mapping[int, int], size: int) -> tuple[int, ...]:
    return tuple(counts.get(index, 0) for index in range(size))
