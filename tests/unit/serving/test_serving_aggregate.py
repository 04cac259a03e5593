"""From what each process counts to the sums of a server and their page."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fairlead.serving.plan import Counts, decode, encode
from fairlead.serving.telemetry.counters import (
    LATENCY_EDGES,
    Aggregate,
    Metrics,
    ProcessSample,
    RevisionCounters,
)
from fairlead.serving.telemetry.prometheus import page

SIGHT = ProcessSample(memory=1e8, cpu=2.5, files=40, connections=3, bodies=100)


def figures(sums: Aggregate) -> dict[tuple[str, frozenset[str]], float]:
    """By name and label values."""
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page(sums))
        for sample in family.samples
    }


def of(revision: str, **given: object) -> Counts:
    return Counts(counted=(("m", revision, RevisionCounters(**given)),))  # type: ignore[arg-type] # as they come


def test_counts_come_over_the_channel_as_they_were() -> None:
    counted = RevisionCounters(
        codes={200: 3}, latency={4: 3}, seconds=0.1, bins={0: 3}, rows=3, total=1e300
    )
    counts = Counts(counted=(("m", "v1", counted),), refused={400: 2}, sample=SIGHT)
    assert decode(encode(counts)) == counts


def test_what_was_told_is_not_told_again() -> None:
    metrics = Metrics()
    assert metrics.news() is None
    metrics.of("m", "v1").answered(200, 0.002)
    metrics.of("m", "v1").predicted({3: 1}, 7.0, 1)
    metrics.refused(431)
    metrics.see(SIGHT)
    news = metrics.news()
    assert news is not None
    ((model, revision, counted),) = news.counted
    assert (model, revision, counted.codes, counted.bins) == ("m", "v1", {200: 1}, {3: 1})
    assert (news.refused, news.sample) == ({431: 1}, SIGHT)
    assert metrics.news() is None


def test_of_many_revisions_only_those_are_told_of_that_have_something_new() -> None:
    metrics = Metrics()
    for number in range(5):
        metrics.of("m", f"v{number}").answered(200, 0.002)
    metrics.news()
    metrics.of("m", "v3").in_flight += 1
    metrics.of("m", "v4").answered(400, 0.002)
    news = metrics.news()
    assert news is not None
    assert {revision: dict(one.codes) for _, revision, one in news.counted} == {
        "v3": {},
        "v4": {400: 1},
    }


def test_counting_goes_on_in_the_same_place_after_it_was_told() -> None:
    metrics = Metrics()
    counted = metrics.of("m", "v1")
    for _ in range(3):
        counted.answered(200, 0.002)
        news = metrics.news()
        assert news is not None
        assert [one.codes for *_, one in news.counted] == [{200: 1}]


def test_all_processes_are_added_up() -> None:
    sums = Aggregate()
    for process in (11, 12):
        sums.add(process, of("v1", codes={200: 2, 500: 1}, latency={0: 2, 31: 1}, seconds=0.5))
        sums.add(process, of("v1", bins={0: 1, 2: 4}, rows=5, total=2.5, in_flight=1, loaded=1))
        sums.add(process, Counts(refused={400: 1}, sample=SIGHT))
    shown = figures(sums)
    labels = ("m", "v1")
    assert shown["fairlead_requests_total", frozenset({*labels, "200"})] == 4
    assert shown["fairlead_request_duration_seconds_bucket", frozenset({*labels, "0.0001"})] == 4
    assert shown["fairlead_request_duration_seconds_bucket", frozenset({*labels, "+Inf"})] == 6
    assert shown["fairlead_request_duration_seconds_sum", frozenset(labels)] == 1.0
    assert shown["fairlead_predictions_total", frozenset({*labels, "2"})] == 8
    assert shown["fairlead_prediction_count", frozenset(labels)] == 10
    assert shown["fairlead_prediction_sum", frozenset(labels)] == 5.0
    assert shown["fairlead_in_flight", frozenset(labels)] == 2
    assert shown["fairlead_loaded", frozenset(labels)] == 2
    assert shown["fairlead_refused_total", frozenset({"400"})] == 2
    assert shown["fairlead_connections", frozenset()] == 6
    assert shown["process_open_fds", frozenset({"12"})] == 40


def test_what_a_process_counted_outlives_it_and_what_it_was_does_not() -> None:
    sums = Aggregate()
    sums.add(11, of("v1", codes={200: 2}, in_flight=1, load=3.0))
    sums.add(12, of("v1", load=1.0))
    sums.add(11, Counts(sample=SIGHT))
    sums.forget(11)
    shown = figures(sums)
    assert shown["fairlead_requests_total", frozenset({"m", "v1", "200"})] == 2
    assert shown["fairlead_in_flight", frozenset({"m", "v1"})] == 0
    assert shown["fairlead_load_seconds", frozenset({"m", "v1"})] == 1.0
    assert ("process_open_fds", frozenset({"11"})) not in shown


def test_a_process_that_has_told_of_nothing_can_be_forgotten() -> None:
    sums = Aggregate()
    sums.forget(11)
    assert figures(sums)["fairlead_connections", frozenset()] == 0


@pytest.mark.parametrize(
    ("codes", "seen"),
    [
        ({200: 5, 500: 1, 503: 2}, (8, 3, 0)),
        ({200: 5, 400: 1, 413: 1, 429: 2}, (5, 0, 4)),
        ({}, (0, 0, 0)),
    ],
)
def test_the_judge_sees_answers_failures_and_refusals(
    codes: dict[int, int], seen: tuple[int, int, int]
) -> None:
    sums = Aggregate()
    sums.add(11, of("v1", codes=codes, latency={1: 5}, bins={2: 1}))
    sums.add(11, of("", codes={404: 9}))
    ((key, observed),) = sums.observations().items()
    assert key == ("m", "v1")
    assert (observed.requests, observed.errors, observed.refused) == seen
    assert observed.latency == (0, 5, *(0,) * (len(LATENCY_EDGES) - 1))
    assert observed.bins == (0, 0, 1)


def test_the_judge_sees_nothing_of_requests_that_named_their_revision() -> None:
    metrics, sums = Metrics(), Aggregate()
    counted = metrics.of("m", "v2")
    for tally, times in ((counted, 30), (counted.pinned, 20)):
        for status in times * (200, 400, 503):
            tally.answered(status, 0.002)
        tally.predicted({0: times, 2: times}, 1.0, 2 * times)
    for _ in range(2):  # what was told is not told again
        news = metrics.news()
        if news is not None:
            told = decode(encode(news))
            assert isinstance(told, Counts)
            sums.add(11, told)
    observed = sums.observations()["m", "v2"]
    assert (observed.requests, observed.errors, observed.refused) == (20, 10, 10)
    assert (sum(observed.latency), observed.bins) == (20, (10, 0, 10))
    shown = figures(sums)
    for status in ("200", "400", "503"):
        assert shown["fairlead_requests_total", frozenset({"m", "v2", status})] == 30
    assert shown["fairlead_predictions_total", frozenset({"m", "v2", "2"})] == 30


def test_all_is_known_until_the_time_that_the_slowest_process_has_told_of() -> None:
    sums = Aggregate()
    assert sums.until() == float("-inf")
    sums.alive(1, 20.0)
    sums.alive(2, 10.0)
    assert sums.until() == 10.0
    sums.forget(2)
    assert sums.until() == 20.0
