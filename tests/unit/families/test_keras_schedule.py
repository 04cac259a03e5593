"""Each row is seen once an epoch, and which part sees it depends on the seed and numbers alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fairlead.families.keras_schedule import Schedule, draw, held_out

SMALL = st.integers(1, 70)


@st.composite
def schedules(draw_: st.DrawFn, *, local: bool) -> Schedule:
    return Schedule(
        rows=draw_(SMALL),
        batch=draw_(SMALL),
        epochs=draw_(st.integers(1, 3)),
        seed=draw_(st.integers(0, (1 << 32) - 1)),
        parts=draw_(st.integers(1, 9)),
        local=draw_(st.integers(1, 20)) if local else None,
    )


def _rows_by_epoch(schedule: Schedule) -> list[list[int]]:
    epochs: list[list[int]] = [[] for _ in range(schedule.epochs)]
    for step in range(schedule.steps):
        for part in range(schedule.parts):
            rows = (
                [schedule.part(step, part)]
                if schedule.local is None
                else [rows for _, rows in schedule.share(step, part)]
            )
            epochs[step // schedule.steps_of_epoch] += [int(n) for one in rows for n in one]
    return epochs


@given(schedules(local=False) | schedules(local=True))
def test_every_epoch_has_each_row_once(schedule: Schedule) -> None:
    for rows in _rows_by_epoch(schedule):
        assert sorted(rows) == list(range(schedule.rows))


@given(schedules(local=False))
def test_parts_of_a_batch_are_of_nearly_one_size(schedule: Schedule) -> None:
    for step in range(schedule.steps):
        sizes = [len(schedule.part(step, part)) for part in range(schedule.parts)]
        assert sum(sizes) <= schedule.batch
        assert max(sizes) - min(sizes) <= 1


@given(schedules(local=False), st.integers(1, 9))
def test_the_rows_of_a_step_are_the_same_in_however_many_parts(
    schedule: Schedule, parts: int
) -> None:
    other = Schedule(**{**vars(schedule), "parts": parts})
    for step in range(schedule.steps):
        rows = [schedule.part(step, part) for part in range(schedule.parts)]
        same = [other.part(step, part) for part in range(parts)]
        assert np.array_equal(np.concatenate(rows), np.concatenate(same))


@given(schedules(local=True))
def test_local_batches_are_numbered_without_gaps_over_rounds(schedule: Schedule) -> None:
    for part in range(schedule.parts):
        numbers = [
            number for step in range(schedule.steps) for number, _ in schedule.share(step, part)
        ]
        assert numbers == list(range(schedule.batches_before(schedule.steps)))


@given(schedules(local=False) | schedules(local=True))
def test_epochs_end_with_their_last_step_alone(schedule: Schedule) -> None:
    ends = {step: schedule.ended(step) for step in range(schedule.steps)}
    assert [epoch for epoch in ends.values() if epoch] == list(range(1, schedule.epochs + 1))
    assert schedule.ended(schedule.steps - 1) == schedule.epochs
    for step, epoch in ends.items():
        assert (schedule.seen(step) == epoch) == (epoch is not None)


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    one = Schedule(rows=50, batch=50, epochs=2, seed=1, parts=1)
    other = Schedule(rows=50, batch=50, epochs=2, seed=2, parts=1)
    orders = [tuple(s.part(step, 0).tolist()) for s in (one, other) for step in (0, 1)]
    assert len(set(orders)) == 4


def test_more_epochs_change_nothing_in_those_before() -> None:
    few = Schedule(rows=50, batch=8, epochs=2, seed=1, parts=3)
    many = Schedule(rows=50, batch=8, epochs=9, seed=1, parts=3)
    for step in range(few.steps):
        assert np.array_equal(few.part(step, 1), many.part(step, 1))


@given(st.integers(2, 300), st.floats(0.0, 0.99), st.integers(0, 1 << 31))
def test_rows_are_held_out_or_fitted_on(rows: int, share: float, seed: int) -> None:
    fitted_on, held = held_out(rows, share, seed)
    assert sorted([*fitted_on.tolist(), *held.tolist()]) == list(range(rows))
    assert len(fitted_on)
    assert bool(len(held)) == (share > 0)


def test_draws_differ_by_seed_layer_step_and_part_and_fit_into_31_bits() -> None:
    places = [
        (s, layer, step, part)
        for s in (0, 1)
        for layer in (0, 1)
        for step in (0, 1)
        for part in (0, 1)
    ]
    drawn = {draw(*place) for place in places}
    assert len(drawn) == len(places)
    assert all(0 <= number < 1 << 31 for pair in drawn for number in pair)


@given(schedules(local=False), st.integers(1, 20))
def test_rounds_that_parts_take_together_have_the_batches_of_single_steps(
    schedule: Schedule, together: int
) -> None:
    rounds = replace(schedule, together=together)
    common = [one for step in range(rounds.steps) for one in rounds.common(step)]
    assert [batch for batch, _ in common] == list(range(schedule.steps))
    for batch, parts in common:
        own = [schedule.part(batch, part).tolist() for part in range(schedule.parts)]
        assert [rows.tolist() for rows in parts] == own
    assert rounds.batches_before(rounds.steps) == schedule.steps
