"""Counting, over all processes of one server.

Belongs here: what is counted, its names, its page for Prometheus, and what the judge of canaries
sees of it. Does not: when something is counted (app.py), and what follows from it (deployment/).

The client library keeps each process's figures in files of one folder, so any process can answer
for all, and what a killed one counted stays. `PROMETHEUS_MULTIPROC_DIR` must name the folder before
the library is imported first: `Metrics` sees to it. A process counts in plain numbers (counted.py)
and adds them to its files ten times a second: killed, it loses a tenth of a second.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairlead.serving.watch.counted import CLIENT_ERRORS, SERVER_ERRORS, Counted
from fairlead.serving.watch.observed import LATENCY_EDGES, Observed

if TYPE_CHECKING:
    from prometheus_client import Metric

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

_LABELS = ("model", "revision")
_PERIOD = 0.1  # seconds


@dataclass(frozen=True, kw_only=True)
class Sight:
    """How a process is at this moment."""

    memory: float  # bytes, resident
    cpu: float  # seconds, since it began
    files: int  # open
    connections: int
    bodies: int  # bytes of requests in hand


class Metrics:
    """All that one process counts.

    Args:
        folder: The one that all processes of the server count in.
    """

    def __init__(self, folder: Path) -> None:
        _count_in_files_of(folder)
        from prometheus_client import CollectorRegistry, Counter, Gauge

        from fairlead.serving.watch.totals import Durations, Totals

        self._folder = folder
        registry = CollectorRegistry()
        live = partial(Gauge, registry=registry, multiprocess_mode="livesum")
        each = partial(Gauge, registry=registry, multiprocess_mode="liveall")
        last = partial(Gauge, registry=registry, multiprocess_mode="livemax")
        self.requests = Counter(
            "fairlead_requests",
            "Requests for predictions, by the status of their answers.",
            (*_LABELS, "code"),
            registry=registry,
        )
        self.seconds = Durations(
            "fairlead_request_duration_seconds",
            "Seconds from a request's head to its answer; without those answered 4xx.",
            _LABELS,
            buckets=LATENCY_EDGES,
            registry=registry,
        )
        self.in_flight = live("fairlead_in_flight", "Requests for predictions in hand.", _LABELS)
        self.queued = live("fairlead_queue_depth", "Requests that wait for a model.", _LABELS)
        self.loaded = live("fairlead_loaded", "Processes that hold the model.", _LABELS)
        self.load = last(
            "fairlead_load_seconds",
            "Seconds that the last loading took.",
            _LABELS,
        )
        self.prediction = Totals(
            "fairlead_prediction", "Predictions of regressions.", _LABELS, registry=registry
        )
        self.bins = Counter(
            "fairlead_predictions",
            "Predictions by bin: between the edges that the judge compares over, or by class.",
            (*_LABELS, "bin"),
            registry=registry,
        )
        self.refused = Counter(
            "fairlead_refused",
            "Connections closed for what came over them, by the status of the answer.",
            ("code",),
            registry=registry,
        )
        self._memory = each("process_resident_memory_bytes", "Resident memory.")
        self._cpu = each("process_cpu_seconds", "User and system time spent.")
        self._files = each("process_open_fds", "Open files.")
        self._connections = live("fairlead_connections", "Open connections.")
        self._bodies = live("fairlead_bodies_bytes", "Bytes of requests in hand.")
        self._counted: dict[tuple[str, str], Counted] = {}
        self.of = cache(self._of)
        self._figures = cache(partial(_Figures, self))

    def _of(self, model: str, revision: str) -> Counted:
        """What is counted of this revision; both are empty for requests that named none we know."""
        self._counted[model, revision] = counted = Counted()
        return counted

    def write(self) -> None:
        """Add to the files what was counted since the last time.

        Raises:
            OSError: The disk is full; what is not written yet stays counted.
        """
        for labels, counted in self._counted.items():
            self._figures(*labels).add(counted)

    async def keep(self) -> None:
        """Write again and again: other processes tell our figures, and the judge looks at them."""
        while True:
            await asyncio.sleep(_PERIOD)
            with suppress(OSError):  # it is tried again, and the page tells of it
                self.write()

    def see(self, sight: Sight) -> None:
        """Tell how the process is."""
        self._memory.set(sight.memory)
        self._cpu.set(sight.cpu)
        self._files.set(sight.files)
        self._connections.set(sight.connections)
        self._bodies.set(sight.bodies)

    def page(self) -> bytes:
        """The figures of all processes, for Prometheus: ours are of now."""
        from prometheus_client import generate_latest

        self.write()
        return generate_latest(_Files(self._folder))


class _Figures:
    """The figures of one revision in our files: what is asked for often is looked up once."""

    def __init__(self, metrics: Metrics, model: str, revision: str) -> None:
        labels = (model, revision)
        self._requests = cache(lambda status: metrics.requests.labels(*labels, str(status)))
        self._bin = cache(lambda index: metrics.bins.labels(*labels, str(index)))
        self._seconds = metrics.seconds.labels(*labels)
        self._prediction = metrics.prediction.labels(*labels)
        gauges = (metrics.in_flight, metrics.queued, metrics.load, metrics.loaded)
        self._gauges = [gauge.labels(*labels) for gauge in gauges]
        self._told: tuple[float, ...] = ()

    def add(self, counted: Counted) -> None:
        """Take over what was counted."""
        _move(counted.codes, self._requests)
        _move(counted.bins, self._bin)
        if counted.latency:
            self._seconds.add(counted.latency, counted.seconds)
            counted.latency.clear()
            counted.seconds = 0.0
        if counted.rows:
            self._prediction.add(counted.rows, counted.total)
            counted.rows, counted.total = 0, 0.0
        self._tell((counted.in_flight, counted.queued, counted.load, counted.loaded))

    def _tell(self, now: tuple[float, ...]) -> None:
        if now != self._told:
            for gauge, value in zip(self._gauges, now, strict=True):
                gauge.set(value)
            self._told = now


def _move(counts: dict[int, int], figure: Callable[[int], Any]) -> None:
    for key in [*counts]:
        figure(key).inc(counts[key])
        del counts[key]


def _count_in_files_of(folder: Path) -> None:
    """Have the library keep its figures in files, without asking for our number at each of them.

    It asks because a process may fork; this one does not.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    from prometheus_client import values

    mine = os.getpid()
    values.ValueClass = values.MultiProcessValue(process_identifier=lambda: mine)  # type: ignore[no-untyped-call] # it has none


class _Files:
    """The figures in the folder's files, as a registry that only tells."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        return _read(self._folder)


def forget(folder: Path, process: int) -> None:
    """A process has ended: what it counted stays, what it was at the end does not.

    Args:
        folder: As for `Metrics`.
        process: Its number.
    """
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(process, str(folder))  # type: ignore[no-untyped-call] # it has no types


def observations(folder: Path) -> Mapping[tuple[str, str], Observed]:
    """What was seen of each revision since the server began, over all processes.

    Args:
        folder: As for `Metrics`.

    Returns:
        By model and revision.
    """
    found: dict[tuple[str, str], _Sums] = defaultdict(_Sums)
    for metric in _read(folder, accumulate=False):
        for sample in metric.samples:
            labels = sample.labels
            if labels.get("revision"):
                found[labels["model"], labels["revision"]].add(sample.name, labels, sample.value)
    return {key: sums.observed() for key, sums in found.items()}


class _Sums:
    def __init__(self) -> None:
        self.codes: dict[int, float] = defaultdict(float)
        self.latency: dict[float, float] = defaultdict(float)
        self.bins: dict[int, float] = defaultdict(float)

    def add(self, name: str, labels: Mapping[str, str], value: float) -> None:
        match name:
            case "fairlead_requests_total":
                self.codes[int(labels["code"])] += value
            case "fairlead_request_duration_seconds_bucket":
                self.latency[float(labels["le"])] += value
            case "fairlead_predictions_total":
                self.bins[int(labels["bin"])] += value

    def observed(self) -> Observed:
        failed = sum(n for code, n in self.codes.items() if code >= SERVER_ERRORS)
        good = sum(n for code, n in self.codes.items() if code < CLIENT_ERRORS)
        return Observed(
            requests=int(good + failed),
            errors=int(failed),
            latency=tuple(int(self.latency[edge]) for edge in (*LATENCY_EDGES, float("inf"))),
            bins=_dense(self.bins),
        )


def _dense(counts: Mapping[int, float]) -> tuple[int, ...]:
    return tuple(int(counts.get(index, 0)) for index in range(max(counts, default=-1) + 1))


def _read(folder: Path, *, accumulate: bool = True) -> Sequence[Metric]:
    """The metrics of all files; a file that its process has only just made holds nothing yet.

    The library fails on such a file, which a process killed at that moment leaves behind for good.
    """
    from prometheus_client.multiprocess import MultiProcessCollector

    files = [str(file) for file in folder.glob("*.db") if file.stat().st_size]
    merge: Any = MultiProcessCollector.merge
    return list(merge(files, accumulate=accumulate))
