"""Hints as bytes, and how long a lost broker is left alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fairlead
from fairlead.errors import Invalid
from fairlead.queue.interface import Hint
from fairlead.queue.message import LARGEST, decoded, encoded
from fairlead.queue.session_thread import pause

STUDIES = st.text(min_size=1, max_size=200, alphabet=st.characters(exclude_categories=["Cs"]))


@given(st.builds(Hint, study=STUDIES, ready=st.integers(1, 10**6)))
def test_a_hint_is_read_as_it_was_written(hint: Hint) -> None:
    assert decoded(encoded(hint)) == hint


def test_a_message_is_small_and_says_its_schema() -> None:
    assert encoded(Hint(study="ab" * 8, ready=20_000)) == (
        b'{"version":1,"study":"abababababababab","ready":20000}'
    )


def test_what_a_later_release_adds_is_let_pass() -> None:
    assert decoded(b'{"version":1,"study":"a","ready":2,"more":[]}') == Hint(study="a", ready=2)


@given(st.binary(max_size=LARGEST + 10))
def test_whatever_else_comes_is_refused_in_a_line(body: bytes) -> None:
    assert "\n" not in refusal(body)


def refusal(body: bytes) -> str:
    """Why it is refused; empty where it is not."""
    try:
        decoded(body)
    except Invalid as error:
        return str(error)
    return ""


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_a_lost_broker_is_tried_ever_more_seldom_up_to_half_a_minute(chance: float) -> None:
    waits = [pause(failures, chance) for failures in range(1, 2000)]
    assert 0.25 <= waits[0] <= 0.5
    assert waits == sorted(waits)
    assert 15 <= waits[-1] <= 30


def test_one_module_alone_knows_pika() -> None:
    package = Path(fairlead.__file__).parent
    knowing = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if "pika" in _imported(node)
    ]
    assert set(knowing) == {"queue/rabbitmq.py"}


def _imported(node: ast.AST) -> set[str]:
    match node:
        case ast.Import(names=names):
            return {one.name.partition(".")[0] for one in names}
        case ast.ImportFrom(module=str(module), level=0):
            return {module.partition(".")[0]}
        case _:
            return set()
