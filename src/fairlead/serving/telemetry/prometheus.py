"""The metrics page, in Prometheus' text format.

This module imports the client library, so only the supervisor loads it, at the first scrape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client import Metric, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from fairlead.serving.telemetry.counters import (
    LATENCY_EDGES,
    Aggregate,
    Now,
    ProcessSample,
    RevisionCounters,
)

_LABELS = ("model", "revision")
_ENDS = tuple(floatToGoString(edge) for edge in (*LATENCY_EDGES, float("inf")))  # type: ignore[no-untyped-call] # it has no types


def page(sums: Aggregate) -> str:
    """The figures in Prometheus' text format, version 0.0.4."""
    return generate_latest(_Collected(sums)).decode()


class _Collected(Collector):
    """The sums as the client library's figures."""

    def __init__(self, sums: Aggregate) -> None:
        self._sums = sums

    def collect(self) -> Iterator[Metric]:
        """Each figure, of all revisions or of all processes."""
        sums = self._sums
        yield _requests(sums)
        yield _seconds(sums)
        yield from _of_now(sums)
        yield _prediction(sums)
        yield _bins(sums)
        yield _refused(sums)
        yield from _of_processes(sums)


# ---- counts of revisions ------------------------------------------------------------------------


def _requests(sums: Aggregate) -> Metric:
    text = "Requests for predictions, by the status of their answers."
    found = CounterMetricFamily("fairlead_requests", text, labels=(*_LABELS, "code"))
    _by_key(found, sums, lambda counted: counted.codes)
    return found


def _bins(sums: Aggregate) -> Metric:
    text = "Predictions by bin: between the edges that the judge compares over, or by class."
    found = CounterMetricFamily("fairlead_predictions", text, labels=(*_LABELS, "bin"))
    _by_key(found, sums, lambda counted: counted.bins)
    return found


def _by_key(
    found: CounterMetricFamily,
    sums: Aggregate,
    counts: Callable[[RevisionCounters], dict[int, int]],
) -> None:
    for labels, counted in sums.counted.items():
        for key, count in sorted(counts(counted).items()):
            found.add_metric((*labels, str(key)), count)


def _seconds(sums: Aggregate) -> Metric:
    text = "Seconds from a request's head to its answer; without those answered 4xx."
    found = HistogramMetricFamily("fairlead_request_duration_seconds", text, labels=_LABELS)
    for labels, counted in sums.counted.items():
        reached = accumulate(counted.latency.get(place, 0) for place in range(len(_ENDS)))
        found.add_metric(labels, [*zip(_ENDS, reached, strict=True)], counted.seconds)
    return found


def _prediction(sums: Aggregate) -> Metric:
    text = "Predictions of regressions."
    found = SummaryMetricFamily("fairlead_prediction", text, labels=_LABELS)
    for labels, counted in sums.counted.items():
        found.add_metric(labels, counted.rows, counted.total)
    return found


def _refused(sums: Aggregate) -> Metric:
    text = "Connections closed for what came over them, by the status of the answer."
    found = CounterMetricFamily("fairlead_refused", text, labels=("code",))
    for status, count in sorted(sums.refused.items()):
        found.add_metric((str(status),), count)
    return found


# ---- how things are -----------------------------------------------------------------------------

_NOW: tuple[tuple[str, str, Callable[[list[Now]], float]], ...] = (
    (
        "fairlead_in_flight",
        "Requests for predictions in hand.",
        lambda found: sum(one.in_flight for one in found),
    ),
    (
        "fairlead_queue_depth",
        "Requests that wait for a model.",
        lambda found: sum(one.queued for one in found),
    ),
    (
        "fairlead_loaded",
        "Processes that hold the model.",
        lambda found: sum(one.loaded for one in found),
    ),
    (
        "fairlead_load_seconds",
        "Seconds that the last loading took.",
        lambda found: max(one.load for one in found),
    ),
)

_EACH: tuple[tuple[str, str, Callable[[ProcessSample], float]], ...] = (
    ("process_resident_memory_bytes", "Resident memory.", lambda one: one.memory),
    ("process_cpu_seconds", "User and system time spent.", lambda one: one.cpu),
    ("process_open_fds", "Open files.", lambda one: one.files),
)

_TOGETHER: tuple[tuple[str, str, Callable[[ProcessSample], float]], ...] = (
    ("fairlead_connections", "Open connections.", lambda one: one.connections),
    ("fairlead_bodies_bytes", "Bytes of requests in hand.", lambda one: one.bodies),
)


def _of_now(sums: Aggregate) -> Iterator[Metric]:
    known = [(labels, found) for labels in sums.counted if (found := sums.now(*labels))]
    for name, text, value in _NOW:
        family = GaugeMetricFamily(name, text, labels=_LABELS)
        for labels, found in known:
            family.add_metric(labels, value(found))
        yield family


def _of_processes(sums: Aggregate) -> Iterator[Metric]:
    for name, text, value in _EACH:
        family = GaugeMetricFamily(name, text, labels=("pid",))
        for process, sample in sums.stats.items():
            family.add_metric((str(process),), value(sample))
        yield family
    for name, text, value in _TOGETHER:
        total = sum(value(sample) for sample in sums.stats.values())
        yield GaugeMetricFamily(name, text, value=total)
