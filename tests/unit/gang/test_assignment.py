"""Who computes which part."""

from __future__ import annotations

from hypothesis import given as drawn
from hypothesis import strategies as st

from fairlead.gang import assignment
from fairlead.gang.assignment import Assignment, Patience

PATIENCE = Patience()


def next_part(
    step: Assignment, rank: int, *, now: float = 0.0, quiet: tuple[int, ...] = ()
) -> int | None:
    return assignment.next_part(step, rank, now=now, quiet=quiet, late=10.0)


def test_parts_are_given_in_their_order() -> None:
    step = assignment.given(Assignment(parts=3), 0, 7, now=0.0)
    assert next_part(step, 8) == 1


def test_a_part_that_is_computed_is_not_given_twice() -> None:
    step = assignment.given(Assignment(parts=1), 0, 7, now=0.0)
    assert next_part(step, 8, now=9.0) is None


def test_a_late_part_is_given_to_another_once_no_other_is_left() -> None:
    step = Assignment(parts=2)
    step = assignment.given(step, 0, 7, now=0.0)
    assert next_part(step, 8, now=11.0) == 1
    step = assignment.given(step, 1, 8, now=11.0)
    step = assignment.answered(step, 1, 8)
    assert next_part(step, 8, now=11.0) == 0


def test_the_copy_of_a_late_part_is_given_time_too() -> None:
    step = assignment.given(Assignment(parts=1), 0, 7, now=0.0)
    step = assignment.given(step, 0, 8, now=11.0)
    assert next_part(step, 9, now=12.0) is None
    assert next_part(step, 9, now=22.0) == 0


def test_the_part_of_a_quiet_rank_is_given_to_another_at_once() -> None:
    step = assignment.given(Assignment(parts=1), 0, 7, now=0.0)
    assert next_part(step, 8, now=1.0, quiet=(7,)) == 0


def test_the_part_of_a_lost_rank_goes_back() -> None:
    step = assignment.given(Assignment(parts=1), 0, 7, now=0.0)
    step = assignment.lost(step, 7)
    assert step.lost == (0,)
    assert next_part(step, 8) == 0


def test_a_second_answer_changes_nothing() -> None:
    step = assignment.given(Assignment(parts=2), 0, 7, now=0.0)
    once = assignment.answered(step, 0, 7)
    assert assignment.answered(once, 0, 8) == once
    assert not once.is_over


def test_nothing_is_late_before_it_is_known_how_long_parts_take() -> None:
    assert assignment.late_after([], PATIENCE) == PATIENCE.first
    assert assignment.late_after([0.1], PATIENCE) == PATIENCE.least
    assert assignment.late_after([5.0, 5.0, 90.0], PATIENCE) == 20.0


def test_who_computes_for_nobody_has_far_longer_than_a_late_part() -> None:
    for seconds in ([], [0.1], [100.0]):
        assert (
            assignment.hung_after(seconds, PATIENCE)
            >= 10 * assignment.late_after(seconds, PATIENCE)
            or assignment.hung_after(seconds, PATIENCE) >= PATIENCE.hung
        )


EVENTS = st.lists(
    st.tuples(st.sampled_from(["answers", "dies", "stalls"]), st.integers(0, 4)),
    max_size=200,
)


class Gang:
    """Ranks 0 to 4, which answer, die and stall, and rank 9, which does not."""

    def __init__(self, parts: int) -> None:
        self.step = Assignment(parts=parts)
        self.now = 0.0
        self.stalled: set[int] = set()
        self.holding: dict[int, int] = {}

    def hand_out(self) -> None:
        for rank in {*range(5), 9} - self.holding.keys() - self.stalled:
            number = assignment.next_part(
                self.step, rank, now=self.now, quiet=self.stalled, late=10.0
            )
            if number is not None:
                assert number not in self.step.answered
                assert all(held.rank != rank for held in self.step.held)
                self.step = assignment.given(self.step, number, rank, now=self.now)
                self.holding[rank] = number

    def answer(self, rank: int) -> None:
        if rank in self.holding and rank not in self.stalled:
            self.step = assignment.answered(self.step, self.holding.pop(rank), rank)

    def die(self, rank: int) -> None:
        self.step = assignment.lost(self.step, rank)
        self.holding.pop(rank, None)
        self.stalled.discard(rank)


@drawn(parts=st.integers(1, 12), events=EVENTS)
def test_every_part_is_answered_whatever_happens_to_ranks(
    parts: int, events: list[tuple[str, int]]
) -> None:
    gang = Gang(parts)
    happen = {"answers": gang.answer, "dies": gang.die, "stalls": gang.stalled.add}
    for what, rank in events:
        gang.hand_out()
        gang.now += 1.0
        happen[what](rank)
    for _ in range(2 * parts + 12):
        gang.now += 20.0
        gang.hand_out()
        gang.answer(9)
    assert gang.step.is_over


def test_each_rank_has_its_own_part_of_a_step_that_all_take_together() -> None:
    step = Assignment(parts=2)
    assert assignment.own_part(step, 1) == 1
    assert assignment.own_part(step, 2) is None
    step = assignment.given(step, 1, 1, now=0.0)
    assert assignment.own_part(step, 1) is None
    assert assignment.own_part(assignment.answered(step, 1, 1), 1) is None
