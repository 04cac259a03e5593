"""Tokens that let a client in.

Belongs here: what is kept of a token, and whether a header names one that is kept. Does not: where
they are kept, and which routes want one (guard.py).

A token is kept as its SHA-256 only. That is enough, without salt or stretching, for what has the
256 random bits of `secrets.token_urlsafe`; it would not be for passwords.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

_SCHEME = b"bearer "


def hashed(token: str) -> str:
    """What is kept of a token: its SHA-256 in hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


def accepts(hashes: Iterable[str], header: bytes) -> bool:
    """Whether the Authorization header carries a token that is known.

    Every hash is compared, in constant time each: how long it takes tells nothing.

    Args:
        hashes: Of the known tokens, by `hashed`.
        header: As it came, `Bearer TOKEN`; empty for none.
    """
    if header[: len(_SCHEME)].lower() != _SCHEME:
        return False
    offered = hashlib.sha256(header[len(_SCHEME) :].strip()).hexdigest()
    return any([hmac.compare_digest(offered, known) for known in hashes])  # noqa: C419 - every one
