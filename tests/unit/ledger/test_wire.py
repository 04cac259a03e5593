"""Calls of a ledger go over a network and come back as they were."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest

from fairlead.errors import Invalid
from fairlead.ledger import wire
from fairlead.records import Basis, Claim, Load, Offer, Result, Span, StudyLoad, Trial


def methods() -> Iterator[wire.Method]:
    for part in wire.parts():
        for name in wire.names(part):
            found = wire.method(part, name)
            assert found is not None
            yield found


def method(path: str) -> wire.Method:
    found = wire.method(*path.split("/"))
    assert found is not None
    return found


def passed(path: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """The arguments as the other end gets them."""
    return method(path).decoded(method(path).encoded(*args, **kwargs))


def returned(path: str, value: object) -> object:
    return method(path).answer(wire.encoded_answer(value))


CLAIM = Claim(
    task=1,
    study="s",
    kind="trials",
    trials=(
        Trial(
            number=0,
            family="f",
            params={"b": True, "a": 1, "c": 1.0, "d": "1", "e": None, "f": 2**70, "g": 1e-300},
            stop_beyond=(0.1 + 0.2,),
            stop_beyond_epoch=(1 / 3,),
        ),
    ),
    attempt=1,
    token=2**62 + 1,
    worker="w\u00e9\n\U0001f600",
    lease_ends=1234567890.123456,
)


def test_there_are_all_parts_of_the_ledger_and_its_clock() -> None:
    assert {"studies", "tasks", "runs", "roots", "clock"} <= set(wire.parts())
    assert len(list(methods())) > 80
    assert wire.method("studies", "__init__") is None
    assert wire.method("studies", "nothing") is None
    assert wire.method("nothing", "get") is None


def test_arguments_come_as_they_were_given() -> None:
    offer = Offer(packages={"numpy": "2.0"}, memory=None)
    got = passed("tasks/claim", "w", lease=0.1 + 0.2, offer=offer)
    assert got == {"worker": "w", "lease": 0.1 + 0.2, "study": None, "offer": offer}
    got = passed("tasks/commit", CLAIM, [Result(number=0, state="done", scores=(1.0, 2.0))])
    assert got["claim"] == CLAIM
    params = got["claim"].trials[0].params
    assert list(params) == list("bacdefg")
    assert [type(one) for one in params.values()] == [bool, int, float, str, type(None), int, float]
    basis = Basis(judgements=3, sample=bytes(range(256)))
    assert passed("versions/promote", *_promotion(), basis)["basis"] == basis
    assert set(passed("tasks/ask_to_leave", {"a", "b"})["workers"]) == {"a", "b"}
    assert passed("studies/trials_page", "s", after=(1, 2), limit=3)["after"] == (1, 2)
    assert passed("tasks/heartbeat", CLAIM, lease=np.float64(1.5))["lease"] == 1.5


def test_answers_come_as_they_were_returned() -> None:
    assert returned("tasks/claim", CLAIM) == CLAIM
    assert returned("tasks/claim", None) is None
    spans = {3: Span(began=1.0), 1: Span(began=1.0, ended=2.0)}
    assert returned("studies/spans", spans) == spans
    load = Load(at=1.0, studies=(StudyLoad(study="s", name="n"),), busy=frozenset({"a", "b"}))
    assert returned("autoscaling/load", load) == load
    samples = {"d" * 64: b"\x00\xff", "e" * 64: b""}
    assert returned("versions/samples", samples) == samples
    entries = [(1, "version", {"model": "m", "version": 3, "nested": [None, 1.5]})]
    assert returned("outbox/pending", entries) == entries
    assert returned("tasks/refit", (None, "why")) == (None, "why")


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused_and_never_changed(odd: float) -> None:
    with pytest.raises(Invalid, match="tasks/commit"):
        method("tasks/commit").encoded(CLAIM, [Result(number=0, state="done", score=odd)])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"study": 1}',
        b'{"study": "s", "more": 1}',
        b'{"study": "\xff"}',
        b'{"study": "s"',
    ],
)
def test_other_arguments_are_refused(body: bytes) -> None:
    with pytest.raises(Invalid, match="studies/get"):
        method("studies/get").decoded(body)


def test_an_answer_of_something_else_is_refused() -> None:
    for odd in (b"<html>", b"{}", b'{"id": 1}'):
        with pytest.raises(Invalid, match="answer cannot be read"):
            method("studies/get").answer(odd)


def test_the_shape_is_the_same_each_time_and_knows_the_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = wire.shape()
    wire.shape.cache_clear()
    assert wire.shape() == before
    wire.shape.cache_clear()
    more = msgspec.structs  # anything that is no record changes nothing
    monkeypatch.setattr(wire.records, "more", more, raising=False)
    assert wire.shape() == before
    wire.shape.cache_clear()
    monkeypatch.delattr(wire.records, "Offer")
    assert wire.shape() != before
    wire.shape.cache_clear()


def _promotion() -> tuple[Any, None]:
    from fairlead.records import Promotion

    promotion = Promotion(model="m", number=0, version=1, previous=None, kind="promote", why="w")
    return promotion, None
