"""Tokens, by what is kept of them."""

from __future__ import annotations

import pytest

from fairlead.serving.http.guard import accepts, hashed


def test_what_is_kept_is_not_the_token() -> None:
    assert "secret" not in hashed("secret")
    assert len(hashed("secret")) == 64


@pytest.mark.parametrize("header", [b"Bearer secret", b"bearer  secret ", b"BEARER secret"])
def test_any_known_token_is_accepted(header: bytes) -> None:
    assert accepts([hashed("other"), hashed("secret"), hashed("third")], header)


@pytest.mark.parametrize(
    "header",
    [b"", b"Bearer", b"Bearer ", b"secret", b"Basic secret", b"Bearer secre", b"Bearer \xff"],
)
def test_nothing_else_is(header: bytes) -> None:
    assert not accepts([hashed("secret")], header)


def test_without_tokens_none_is_accepted() -> None:
    assert not accepts([], b"Bearer ")
