"""Promises of promoting and rolling back by hand, on real models."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from fairlead.errors import Conflict, Corrupt, Failed, Invalid, NotFound, Unexportable
from fairlead.records import Parity, Promotion
from fairlead.registry.registry import Registry

if TYPE_CHECKING:
    from tests.integration.registry.conftest import Workshop

MODEL = "prices"


def test_a_person_may_promote_what_the_gate_would_not(workshop: Workshop) -> None:
    workshop.consider(workshop.version(0.0))
    workshop.version(5.0)
    promotion = workshop.registry.promote(MODEL, 2, why="agreed with sales")
    assert promotion is not None
    assert (promotion.kind, promotion.previous, promotion.why, promotion.number) == (
        "promote",
        1,
        "agreed with sales",
        2,
    )
    assert workshop.champion() == 2


def test_promoting_the_champion_changes_nothing(workshop: Workshop) -> None:
    workshop.version(0.0)
    workshop.registry.promote(MODEL, 1, why="first")
    assert workshop.registry.promote(MODEL, 1, why="again") is None
    assert len(workshop.ledger.versions.history(MODEL)) == 1


def test_rollbacks_go_back_one_champion_at_a_time_and_end_at_the_first(
    workshop: Workshop,
) -> None:
    for number, error in enumerate((0.0, 1.0, 2.0), start=1):
        workshop.version(error)
        workshop.registry.promote(MODEL, number, why="up")
    assert [workshop.registry.rollback(MODEL, why="down").version for _ in range(2)] == [2, 1]
    with pytest.raises(Invalid, match="v1 is its first champion, and there is nothing before it"):
        workshop.registry.rollback(MODEL, why="down")
    assert workshop.champion() == 1
    assert len(workshop.ledger.versions.history(MODEL)) == 5


def test_a_model_without_champion_has_nothing_to_roll_back(workshop: Workshop) -> None:
    workshop.version(0.0)
    with pytest.raises(Invalid, match="has no champion"):
        workshop.registry.rollback(MODEL, why="x")
    with pytest.raises(NotFound, match="no champion yet"):
        workshop.registry.version(MODEL)


@pytest.mark.parametrize("call", ["promote", "rollback", "version"])
def test_a_model_that_is_not_there_is_refused(workshop: Workshop, call: str) -> None:
    workshop.version(0.0)
    calls: dict[str, Any] = {
        "promote": lambda: workshop.registry.promote("price", 1, why="x"),
        "rollback": lambda: workshop.registry.rollback("price", why="x"),
        "version": lambda: workshop.registry.version("price"),
    }
    with pytest.raises(NotFound, match="'price'"):
        calls[call]()


@pytest.mark.parametrize("why", ["", "  \n"])
def test_a_change_by_hand_must_say_why(workshop: Workshop, why: str) -> None:
    workshop.version(0.0)
    with pytest.raises(Invalid, match=r"the reason \(why\) is empty"):
        workshop.registry.promote(MODEL, 1, why=why)
    with pytest.raises(Invalid, match=r"the reason \(why\) is empty"):
        workshop.registry.rollback(MODEL, why=why)


def test_a_version_without_an_exported_form_cannot_be_promoted_by_hand(
    workshop: Workshop,
) -> None:
    made = workshop.candidate(0.0)
    files = {name: file for name, file in made.files.items() if name != "model.onnx"}
    version = workshop.register(
        replace(made, files=files, parity=None, unexportable="no converter")
    )
    with pytest.raises(Unexportable, match="no converter"):
        workshop.registry.promote(MODEL, 1, why="x")
    with pytest.raises(Unexportable, match="no converter"):
        workshop.registry.exported(version)


@pytest.mark.parametrize(
    ("parity", "words"),
    [
        (Parity(rows=100, beyond=3, worst=0.2, tolerance=1e-4, passed=False), "3 of 100"),
        (None, "never compared"),
    ],
)
def test_a_version_without_parity_cannot_be_promoted_by_hand(
    workshop: Workshop, parity: Parity | None, words: str
) -> None:
    workshop.version(0.0, parity=parity)
    with pytest.raises(Failed, match=words):
        workshop.registry.promote(MODEL, 1, why="x")
    assert workshop.champion() is None


class _Overtaken:
    """The ledger's versions, in which somebody else promotes just before we do."""

    def __init__(self, inner: Any, overtake: Any) -> None:
        self._inner = inner
        self._overtake = overtake

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def promote(self, promotion: Promotion, *evidence: Any) -> Promotion:
        overtake, self._overtake = self._overtake, lambda: None
        overtake()
        return self._inner.promote(promotion, *evidence)


def _overtaken(workshop: Workshop, by: int) -> Registry:
    class Ledger:
        versions = _Overtaken(
            workshop.ledger.versions,
            lambda: workshop.registry.promote(MODEL, by, why="meanwhile"),
        )

    return Registry(Ledger(), workshop.registry.artifacts)  # type: ignore[arg-type] - one part of it


def test_a_promotion_by_hand_that_is_overtaken_still_happens(workshop: Workshop) -> None:
    for error in (0.0, 1.0):
        workshop.version(error)
    promotion = _overtaken(workshop, by=2).promote(MODEL, 1, why="mine")
    assert promotion is not None
    assert (promotion.version, promotion.previous) == (1, 2)


def test_a_rollback_that_is_overtaken_is_refused(workshop: Workshop) -> None:
    for number, error in enumerate((0.0, 1.0, 2.0), start=1):
        workshop.version(error)
        if number < 3:
            workshop.registry.promote(MODEL, number, why="up")
    with pytest.raises(Conflict):
        _overtaken(workshop, by=3).rollback(MODEL, why="of v2")
    assert workshop.champion() == 3


def test_no_damaged_model_becomes_champion_by_a_rollback(workshop: Workshop) -> None:
    for number, error in enumerate((0.0, 1.0), start=1):
        workshop.version(error)
        workshop.registry.promote(MODEL, number, why="up")
    first = workshop.registry.candidate(workshop.registry.version(MODEL, 1))
    stored = workshop.registry.artifacts.path(first.files["model.onnx"].digest)
    stored.chmod(0o644)
    stored.write_bytes(stored.read_bytes() + b"!")
    with pytest.raises(Corrupt):
        workshop.registry.rollback(MODEL, why="down")
    assert workshop.champion() == 2
