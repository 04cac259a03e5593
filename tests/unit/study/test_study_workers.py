"""When workers that die are replaced, and when the run gives up."""

from __future__ import annotations

from fairlead.runners.runner import WorkerStatus
from fairlead.study.workers import EARLY, MOST_EARLY, early_ends


def ended(*, seconds: float = 0.1, killed: bool = False) -> WorkerStatus:
    return WorkerStatus(name="w", state="ended", why="status 1", seconds=seconds, killed=killed)


def test_workers_that_end_early_one_after_another_are_counted() -> None:
    assert early_ends(0, []) == 0
    assert early_ends(1, [ended(), ended()]) == 3
    assert early_ends(0, [ended()] * MOST_EARLY) == MOST_EARLY


def test_one_that_worked_for_a_while_or_was_killed_begins_the_count_anew() -> None:
    assert early_ends(4, [ended(seconds=EARLY)]) == 0
    assert early_ends(4, [ended(killed=True)]) == 0
    assert early_ends(4, [ended(seconds=EARLY), ended()]) == 1
