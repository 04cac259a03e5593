"""Counting in plain numbers."""

from __future__ import annotations

from math import inf

import pytest

from fairlead.serving.telemetry.counters import LATENCY_EDGES, RevisionCounters


@pytest.mark.parametrize("place", range(len(LATENCY_EDGES)))
def test_a_bucket_holds_its_own_edge_and_nothing_beyond(place: int) -> None:
    counted = RevisionCounters()
    counted.answered(200, LATENCY_EDGES[place])
    counted.answered(200, LATENCY_EDGES[place] * 1.0001)
    assert counted.latency == {place: 1, place + 1: 1}


def test_what_takes_longer_than_all_edges_is_counted_too() -> None:
    counted = RevisionCounters()
    counted.answered(504, inf)
    assert counted.latency == {len(LATENCY_EDGES): 1}


def test_an_answer_to_a_clients_own_fault_has_no_latency() -> None:
    counted = RevisionCounters()
    for status in (200, 400, 429, 499, 500, 503):
        counted.answered(status, 0.5)
    assert set(counted.codes.values()) == {1}
    assert sum(counted.latency.values()) == 3
    assert counted.seconds == 1.5


def test_classes_have_bins_and_no_sum() -> None:
    counted = RevisionCounters()
    counted.predicted({0: 2, 2: 1}, None, 3)
    counted.predicted({2: 4}, None, 4)
    assert counted.bins == {0: 2, 2: 5}
    assert (counted.rows, counted.total) == (0, 0.0)
