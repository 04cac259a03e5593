"""A load replayed: the decisions that the rule makes of it, and what comes of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.autoscale.decide import Policy
from fairlead.autoscale.described_load import Arrival, DescribedLoad, recorded
from fairlead.autoscale.replay import LONGEST, picture, replay
from fairlead.errors import Invalid
from fairlead.records import Event


def load(*arrivals: Arrival, startup: float = 3.0, policy: Policy | None = None) -> DescribedLoad:
    return DescribedLoad(arrivals=arrivals, startup=startup, policy=policy or Policy())


def test_one_task_needs_one_worker_for_as_long_as_it_takes() -> None:
    one = replay(load(Arrival(at=0, tasks=1, seconds=30), policy=Policy(cooldown=10)))
    assert (one.tasks, one.done, one.most) == (1, 1, 1)
    assert one.makespan == 33
    assert one.worker_seconds == pytest.approx(43, abs=2)
    assert [each.cause for each in one.decisions] == ["work", "cooling", "shrinking"]


def test_at_most_is_at_most_and_all_is_done() -> None:
    many = replay(load(Arrival(at=0, tasks=100, seconds=10), policy=Policy(most=4)))
    assert (many.done, many.most) == (100, 4)
    assert many.makespan == pytest.approx(253, abs=1)


def test_from_zero_to_zero_and_from_zero_again() -> None:
    twice = replay(
        load(
            Arrival(at=0, tasks=4, seconds=10),
            Arrival(at=1000, tasks=4, seconds=10),
            policy=Policy(cooldown=20, within=20),
        )
    )
    levels = {int(at): workers for at, workers, _ in twice.levels}
    assert twice.done == 8
    assert any(workers == 0 for at, workers in levels.items() if 10 < at < 1000)
    assert twice.levels[-1][1:] == (0, 0)


def test_a_pause_shorter_than_the_cool_down_lets_nobody_go() -> None:
    arrivals = [Arrival(at=40.0 * number, tasks=4, seconds=10) for number in range(10)]
    steady = replay(load(*arrivals, policy=Policy(within=20)))
    early = [each for each in steady.decisions if each.at < 380]
    assert not any(each.leave for each in early)
    assert sum(each.start for each in early) == steady.most


def test_a_spent_budget_leaves_tasks_undone() -> None:
    short = replay(load(Arrival(at=0, tasks=100, seconds=10), policy=Policy(budget=100.0)))
    assert 0 < short.done < 100
    assert short.decisions[-1].cause == "spent"
    assert 100 <= short.worker_seconds < 100 + 16 * 11


def test_what_would_take_weeks_is_refused() -> None:
    week = Arrival(at=0, tasks=17, seconds=LONGEST)
    with pytest.raises(Invalid, match="together, with 16 workers at most more than the 7 days"):
        replay(load(week))


@given(
    st.lists(
        st.builds(
            Arrival,
            at=st.integers(0, 300).map(float),
            tasks=st.integers(1, 30),
            seconds=st.floats(0.1, 60),
            study=st.sampled_from("ab"),
        ),
        min_size=1,
        max_size=5,
    ),
    st.floats(0, 30),
    st.integers(1, 8),
)
def test_whatever_comes_is_done_within_the_bounds(
    arrivals: list[Arrival], startup: float, most: int
) -> None:
    of = replay(load(*arrivals, startup=startup, policy=Policy(most=most)))
    assert of.done == of.tasks
    assert of.most <= most
    assert 0 <= of.idle <= 1
    assert of.levels[-1][1] == 0
    started = sum(each.start for each in of.decisions)
    assert started == sum(len(each.leave) for each in of.decisions)
    assert all(len(line) <= 60 for line in picture(of))


# ---- recorded ---------------------------------------------------------------------------------


def test_a_history_becomes_the_load_that_it_was() -> None:
    def line(at: float, kind: str, task: int | None = None, attempt: int = 1) -> Event:
        return Event(at=at, kind=kind, task=task, attempt=None if task is None else attempt)

    history = [
        line(100, "opened"),
        line(101, "claimed", 1),
        line(102, "claimed", 2),
        line(103, "lost", 2),
        line(104, "claimed", 2, 2),
        line(111, "committed", 1),
        line(106, "committed", 2, 2),
        line(200, "extended"),
        line(201, "claimed", 3),
        line(204, "committed", 3),
        line(210, "claimed", 4),
    ]
    assert recorded(history, "s").arrivals == (
        Arrival(at=0, tasks=1, seconds=10, study="s"),
        Arrival(at=0, tasks=1, seconds=2, study="s"),
        Arrival(at=100, tasks=1, seconds=3, study="s"),
    )


def test_a_history_without_an_end_is_no_load() -> None:
    with pytest.raises(Invalid, match="study 's': none of its tasks has ended"):
        recorded([Event(at=1, kind="opened")], "s")
