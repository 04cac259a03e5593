"""Promises of rollbacks: how far back they go, and what they take down."""

from __future__ import annotations

from typing import Literal

from fairlead.records import Promotion
from fairlead.registry.registry import pile, taken_down


def history(*steps: tuple[Literal["gate", "promote", "rollback"], int]) -> list[Promotion]:
    entries: list[Promotion] = []
    for number, (kind, version) in enumerate(steps, start=1):
        previous = entries[-1].version if entries else None
        entries.append(
            Promotion(
                model="m", number=number, version=version, previous=previous, kind=kind, why="x"
            )
        )
    return entries


def test_a_model_without_promotions_has_nobody_standing() -> None:
    assert pile([]) == ()


def test_promotions_pile_up() -> None:
    assert pile(history(("gate", 1), ("gate", 3), ("promote", 2))) == (1, 3, 2)


def test_each_rollback_goes_one_further_back() -> None:
    steps = [("gate", 1), ("gate", 2), ("gate", 3), ("rollback", 2), ("rollback", 1)]
    assert pile(history(*steps)) == (1,)


def test_a_promotion_after_a_rollback_goes_on_top_of_what_is_left() -> None:
    steps = [("gate", 1), ("gate", 2), ("rollback", 1), ("gate", 3)]
    assert pile(history(*steps)) == (1, 3)


def test_a_version_promoted_twice_is_reached_twice() -> None:
    assert pile(history(("gate", 1), ("gate", 2), ("promote", 1))) == (1, 2, 1)


def test_a_version_that_the_gate_replaced_was_not_taken_down() -> None:
    assert taken_down(history(("gate", 1), ("gate", 2)), 1) is None


def test_a_version_that_was_rolled_back_was_taken_down_until_a_person_brings_it_back() -> None:
    entries = history(("gate", 1), ("gate", 2), ("rollback", 1))
    assert taken_down(entries, 2) is entries[-1]
    entries = history(("gate", 1), ("gate", 2), ("rollback", 1), ("promote", 2), ("gate", 3))
    assert taken_down(entries, 2) is None


def test_a_version_replaced_by_hand_was_taken_down() -> None:
    entries = history(("gate", 1), ("gate", 2), ("promote", 1))
    assert taken_down(entries, 2) is entries[-1]
