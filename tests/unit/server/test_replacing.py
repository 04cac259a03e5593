"""When a serving process that died is replaced."""

from __future__ import annotations

from fairlead.server.replacing import MANY, YOUNG, pause, young_deaths


def test_the_first_death_is_followed_by_a_new_process_at_once() -> None:
    assert pause(young_deaths(0, lived=0.1)) == 0.0
    assert pause(young_deaths(7, lived=YOUNG + 1)) == 0.0


def test_those_that_die_young_again_and_again_are_replaced_ever_more_slowly() -> None:
    pauses, deaths = [], 0
    for _ in range(40):
        deaths = young_deaths(deaths, lived=0.1)
        pauses.append(pause(deaths))
    assert pauses == sorted(pauses)
    assert sum(pauses[:MANY]) < YOUNG
    assert pauses[-1] == 10.0
