"""When schedules are due, and what is done then, with the time as an argument."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.control import due
from fairlead.control.due import Begin, Skip, next_step
from fairlead.records import Run, RunState, Schedule

HOURLY = Schedule(model="m", every=3600.0, first=1000.0, due=1000.0)
RUN = Run(id="s.1", study="s", spec="{}")


def test_nothing_is_done_before_the_due_time() -> None:
    assert next_step(HOURLY, None, 999.9) is None
    assert next_step(HOURLY, None, 1000.0) == Begin(due=4600.0)


def test_times_that_were_missed_are_one_run() -> None:
    three_days = 3 * 86400.0
    assert next_step(HOURLY, None, 1000.0 + three_days + 5) == Begin(
        due=1000.0 + three_days + 3600.0
    )


def test_none_begins_while_the_last_run_goes_on_and_that_is_said() -> None:
    step = next_step(HOURLY, RUN, 1200.0)
    assert step == Skip(reason="run s.1 still goes on", due=4600.0)


@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
def test_one_begins_after_the_last_has_ended_however_it_did(state: RunState) -> None:
    assert next_step(HOURLY, replace(RUN, state=state), 1200.0) == Begin(due=4600.0)


def test_a_paused_one_and_one_that_is_being_begun_are_let_alone() -> None:
    assert next_step(replace(HOURLY, paused=True), None, 1200.0) is None
    assert next_step(replace(HOURLY, holder="c"), None, 1200.0) is None


def test_a_fault_that_may_pass_is_tried_again_soon_and_another_at_the_next_time() -> None:
    assert due.after_fault(HOURLY, 1200.0, passing=True) == 1200.0 + due.RETRY
    assert due.after_fault(HOURLY, 1200.0, passing=False) == 4600.0
    assert due.after_fault(replace(HOURLY, every=60.0), 1200.0, passing=True) == 1240.0


def test_tries_in_between_do_not_move_the_due_times() -> None:
    tried = replace(HOURLY, due=due.after_fault(HOURLY, 1200.0, passing=True))
    assert next_step(tried, None, 1500.0) == Begin(due=4600.0)


def test_the_first_is_at_once_or_at_the_next_such_minute_of_the_day() -> None:
    day = 20_000 * 86400.0
    assert due.first_at(None, day + 5) == day + 5
    assert due.first_at(180, day) == day + 3 * 3600
    assert due.first_at(180, day + 3 * 3600) == day + 27 * 3600
    assert due.first_at(0, day + 1) == day + 86400


def test_unchanged_data_is_that_of_the_champion_or_of_the_last_run_that_was_done() -> None:
    last = replace(RUN, study="b", id="b.1", state="done")
    assert due.unchanged("a", None, "b") is None
    assert due.unchanged("b", None, "b") == "the data is what the champion was trained on"
    assert due.unchanged("b-2", None, "b") is not None  # searched again since
    assert due.unchanged("b", last, "a") == "the data is that of run b.1"
    assert due.unchanged("b", replace(last, state="failed"), "a") is None
    assert due.unchanged("c", last, "a") is None


@given(
    every=st.floats(60.0, 1e7),
    first=st.floats(0.0, 2e9),
    looks=st.lists(st.floats(0.0, 1e8), max_size=30),
)
def test_however_seldom_one_looks_each_interval_has_one_run_at_most(
    every: float, first: float, looks: list[float]
) -> None:
    schedule = Schedule(model="m", every=every, first=first, due=first)
    began: list[float] = []
    for now in sorted(first + look for look in looks):
        step = next_step(schedule, None, now)
        if step is None:
            continue
        assert isinstance(step, Begin)
        assert now < step.due <= now + every * (1 + 1e-6)
        began.append(now)
        schedule = replace(schedule, due=step.due)
    intervals = [(now - first) // every for now in began]
    assert len(began) <= len(set(intervals)) + 1  # a moment that rounding puts into its neighbour
    assert bool(began) == bool(looks)
