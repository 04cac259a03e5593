from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.records import Allowance
from fairlead.serving.engine.admission import (
    AT_ONCE,
    CHUNK,
    pause,
    refusal,
    rows_at_once,
    slow_after,
    unload_in,
)

ALLOWANCE = Allowance(max_concurrency=4, queue=2)


@pytest.mark.parametrize(
    ("in_hand", "waiting", "loaded", "expected"),
    [
        (0, 0, True, None),
        (3, 0, True, None),
        (4, 0, True, "too many at once"),
        (1, 1, False, None),
        (2, 2, False, "queue full"),
        (3, 2, True, None),
        (4, 2, False, "too many at once"),
    ],
)
def test_a_request_is_turned_away_past_the_allowance_only(
    in_hand: int, waiting: int, expected: str | None, *, loaded: bool
) -> None:
    found = refusal(in_hand=in_hand, waiting=waiting, loaded=loaded, allowance=ALLOWANCE)
    assert found == expected


def test_a_revision_unloads_when_it_was_idle_for_long_enough() -> None:
    assert unload_in(now=100, used=95, in_hand=0, idle_after=10) == 5
    assert unload_in(now=105, used=95, in_hand=0, idle_after=10) == 0
    assert unload_in(now=500, used=95, in_hand=0, idle_after=10) == 0


def test_a_revision_does_not_unload_while_it_answers_or_where_it_never_may() -> None:
    assert unload_in(now=500, used=95, in_hand=1, idle_after=10) is None
    assert unload_in(now=500, used=95, in_hand=0, idle_after=None) is None


def test_loads_that_fail_are_tried_again_at_once_and_then_less_often() -> None:
    assert pause(1, asked=True) <= 0.1
    pauses = [pause(failures, asked=False) for failures in range(1, 40)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == pauses[-2]


def test_a_load_that_requests_wait_for_is_tried_several_times_before_their_deadline() -> None:
    taken, tries = 0.0, 0
    while taken < Allowance().deadline:
        tries += 1
        taken += pause(tries, asked=True)
    assert tries > 10


def test_a_load_of_a_large_file_is_slow_later_than_one_of_a_small_one() -> None:
    assert slow_after(1 << 30) > slow_after(1 << 20) > 1


@given(st.integers(0, 1_000_000), st.floats(1e-6, 10))
def test_only_what_takes_no_time_is_answered_without_parts(rows: int, seconds: float) -> None:
    size = rows_at_once(rows, seconds)
    if size is None:
        assert rows * seconds <= AT_ONCE
    else:
        assert size == 1 or size * seconds <= CHUNK
