"""What is counted, over the page for Prometheus and for the judge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fairlead.records import Observed
from fairlead.serving.telemetry.counters import LATENCY_EDGES
from tests.integration.serving.rig import Process, Trained, rows_of, started
from tests.support.waiting import wait_until

PREDICT = "/models/houses:predict"


def figures(process: Process) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every figure of the page by its name and labels."""
    reply = process.ask("GET", "/metrics")
    assert reply.status == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(reply.body.decode())
        for sample in family.samples
    }


def labels(**given: str) -> frozenset[tuple[str, str]]:
    return frozenset(given.items())


@pytest.fixture
def fresh(trained: Trained) -> Iterator[Process]:
    with started(trained) as process:
        process.plan(trained.held("houses"))
        process.followed()
        yield process


def test_requests_are_counted_by_model_revision_and_code(fresh: Process, trained: Trained) -> None:
    body = rows_of(trained.golden("houses")[0][:3])
    for _ in range(5):
        fresh.ask("POST", PREDICT, body)
    fresh.ask("POST", PREDICT, b"{")
    fresh.ask("POST", "/models/nobody:predict", body)
    page = figures(fresh)
    of = {"model": "houses", "revision": "v1"}
    assert page["fairlead_requests_total", labels(**of, code="200")] == 5
    assert page["fairlead_requests_total", labels(**of, code="400")] == 1
    assert page["fairlead_requests_total", labels(model="", revision="", code="404")] == 1
    assert page["fairlead_request_duration_seconds_count", labels(**of)] == 5
    assert page["fairlead_prediction_count", labels(**of)] == 15
    expected = 5 * sum(trained.golden("houses")[1][:3])
    assert page["fairlead_prediction_sum", labels(**of)] == pytest.approx(expected)
    assert page["fairlead_in_flight", labels(**of)] == 0
    assert page["fairlead_queue_depth", labels(**of)] == 0
    assert 0 < page["fairlead_load_seconds", labels(**of)] < 30
    assert page["process_resident_memory_bytes", labels(pid=str(fresh.child.pid))] > 1 << 20


def test_a_model_that_nobody_asks_for_is_seen_to_be_unloaded_and_loaded_again(
    trained: Trained,
) -> None:
    of = labels(model="houses", revision="v1")
    held = trained.held("houses")
    with started(trained) as process:
        process.plan(replace(held, allowance=replace(held.allowance, idle_after=0.3)))
        process.followed()
        wait_until(lambda: figures(process)["fairlead_loaded", of] == 0)
        process.plan(replace(held, allowance=replace(held.allowance, idle_after=None)))
        process.followed()
        process.ask("POST", PREDICT, rows_of(trained.golden("houses")[0][:1]))
        assert figures(process)["fairlead_loaded", of] == 1


def seen_whole(process: Process, *, requests: int, refused: int = 0) -> list[Observed]:
    """What the judge sees, once that is so many requests: it may see them a moment later."""
    seen = [*process.sums.observations().values()]
    told = (sum(one.requests for one in seen), sum(one.refused for one in seen))
    return seen if told == (requests, refused) else []


def test_the_judge_sees_the_same(fresh: Process, trained: Trained) -> None:
    rows, predicted = trained.golden("houses")
    for _ in range(3):
        fresh.ask("POST", PREDICT, rows_of(rows))
    fresh.ask("POST", PREDICT, b"{")
    (seen,) = wait_until(lambda: seen_whole(fresh, requests=3, refused=1))
    assert seen.errors == 0
    assert sum(seen.latency) == 3
    assert len(seen.latency) == len(LATENCY_EDGES) + 1
    edges = trained.held("houses").edges
    bins = [sum(value >= edge for edge in edges) for value in predicted]
    assert list(seen.bins) == [3 * bins.count(index) for index in range(max(bins) + 1)]


def test_the_judge_does_not_see_requests_that_named_their_revision(
    fresh: Process, trained: Trained
) -> None:
    body = rows_of(trained.golden("houses")[0][:1])
    for content in (body, b"{"):
        fresh.ask("POST", PREDICT, content, headers={"Fairlead-Revision": "v1"})
        fresh.ask("POST", "/models/houses/versions/1:predict", content)
    for content in (body, body, body, b"{"):
        fresh.ask("POST", PREDICT, content)
    (seen,) = wait_until(lambda: seen_whole(fresh, requests=3, refused=1))
    assert (sum(seen.latency), sum(seen.bins)) == (3, 3)
    page, of = figures(fresh), {"model": "houses", "revision": "v1"}
    assert page["fairlead_requests_total", labels(**of, code="200")] == 5
    assert page["fairlead_requests_total", labels(**of, code="400")] == 3


def test_a_process_that_drains_leaves_all_that_it_counted(fresh: Process, trained: Trained) -> None:
    for _ in range(10):
        fresh.ask("POST", PREDICT, rows_of(trained.golden("houses")[0][:1]))
    assert fresh.drain() == 0
    assert wait_until(lambda: seen_whole(fresh, requests=10))


def test_what_is_no_request_is_counted_too(fresh: Process) -> None:
    fresh.raw(b"rubbish\r\n\r\n")
    assert figures(fresh)["fairlead_refused_total", labels(code="400")] == 1
