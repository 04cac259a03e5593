"""What a run that does not go on is said to lack."""

from __future__ import annotations

from fairlead.control.halts import PATIENCE, Halt, HaltWatch, overdue
from fairlead.records import Schedule


def test_what_has_lasted_is_told_once() -> None:
    told: list[Halt] = []
    watch = HaltWatch(told.append)
    watch.look(["no_worker"], 0.0)
    watch.look(["no_worker", "no_controller"], PATIENCE - 0.1)
    assert told == []
    watch.look(["no_worker", "no_controller"], PATIENCE)
    watch.look(["no_worker"], 3 * PATIENCE)
    assert told == ["no_worker"]


def test_what_is_there_again_in_between_begins_anew() -> None:
    told: list[Halt] = []
    watch = HaltWatch(told.append)
    for found, now in ((["no_controller"], 0.0), ([], 3.0), (["no_controller"], PATIENCE + 1)):
        watch.look(found, now)  # type: ignore[arg-type]  # mypy takes the lists for list[str]
    assert told == []


def test_a_schedule_is_overdue_where_nobody_begins_what_is_due() -> None:
    late = Schedule(model="late", every=60.0, due=100.0)
    others = [
        Schedule(model="paused", every=60.0, due=100.0, paused=True),
        Schedule(model="held", every=60.0, due=100.0, holder="somebody"),
        Schedule(model="next", every=60.0, due=500.0),
    ]
    assert overdue([late, *others], 110.0) == [late]
