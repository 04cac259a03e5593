"""The counts of all processes of a server, summed by the supervisor.

They are in memory: a server that ends forgets them, as Prometheus expects of one that starts again.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from fairlead.serving.telemetry.counters import (
    CLIENT_ERRORS,
    LATENCY_EDGES,
    SERVER_ERRORS,
    Counters,
    Counts,
    Now,
    Observed,
    ProcessSample,
    RevisionCounters,
)


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
