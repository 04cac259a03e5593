"""When a serving process that died is replaced."""

from __future__ import annotations

from fairlead.server.process_pool import EARLY, MAX_EARLY_EXITS, early_exits, restart_delay


def test_the_first_death_is_followed_by_a_new_process_at_once() -> None:
    assert restart_delay(early_exits(0, lived=0.1)) == 0.0
    assert restart_delay(early_exits(7, lived=EARLY + 1)) == 0.0


def test_those_that_die_young_again_and_again_are_replaced_ever_more_slowly() -> None:
    pauses, deaths = [], 0
    for _ in range(40):
        deaths = early_exits(deaths, lived=0.1)
        pauses.append(restart_delay(deaths))
    assert pauses == sorted(pauses)
    assert sum(pauses[:MAX_EARLY_EXITS]) < EARLY
    assert pauses[-1] == 10.0
