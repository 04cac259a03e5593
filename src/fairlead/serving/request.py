"""A request: what its path asks for, and what becomes known of it while it is answered.

The paths are one pure function, `target`; names in a path are only compared with known names.
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias
from urllib.parse import unquote_to_bytes

Kind: TypeAlias = Literal[
    "infer",
    "predict",
    "server",
    "live",
    "ready",
    "model",
    "model ready",
    "metrics",
    "openapi",
    "docs",
    "home",
]

_FIXED: dict[bytes, Kind] = {
    b"/": "home",
    b"/v2": "server",
    b"/v2/health/live": "live",
    b"/v2/health/ready": "ready",
    b"/livez": "live",
    b"/readyz": "ready",
    b"/metrics": "metrics",
    b"/openapi.json": "openapi",
    b"/docs": "docs",
}
_OF_MODEL: dict[tuple[str, ...], Kind] = {
    (): "model",
    ("infer",): "infer",
    ("ready",): "model ready",
}
_POSTED = frozenset({"infer", "predict"})
_OPEN = frozenset({"live", "ready"})
_LONG = 256  # bytes; longer paths are not kept


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What a path asks for.

    Args:
        kind: The route.
        model: The model's name, where there is one.
        version: What was pinned, a version's number or a revision's name.
    """

    kind: Kind
    model: str = ""
    version: str | None = None

    @property
    def posted(self) -> bool:
        """Whether it takes a body, and predicts."""
        return self.kind in _POSTED

    @property
    def methods(self) -> tuple[str, ...]:
        """Those that the route takes."""
        return ("POST", "OPTIONS") if self.posted else ("GET", "HEAD", "OPTIONS")

    @property
    def open(self) -> bool:
        """Whether it is answered to those who have no token: it is about health alone."""
        return self.kind in _OPEN


def target(path: bytes) -> Target | None:
    """What the path asks for; None if there is no such path.

    A slash at the end changes nothing. Segments are split before they are decoded: an encoded
    slash is part of a name, and there is no such name.

    Args:
        path: As it came, without the query.
    """
    return _seen(path) if len(path) <= _LONG else _found(path)


def _found(path: bytes) -> Target | None:
    path = path.rstrip(b"/") or b"/"
    if fixed := _FIXED.get(path):
        return Target(kind=fixed)
    try:
        segments = [unquote_to_bytes(part).decode() for part in path.split(b"/")[1:]]
    except UnicodeDecodeError:
        return None
    return _of_model(segments)


_seen = lru_cache(maxsize=1024)(_found)  # most requests ask for what others asked for


def _of_model(segments: list[str]) -> Target | None:
    match segments:
        case ["v2", "models", model, *rest]:
            return _of_protocol(model, rest)
        case ["models", named]:
            return _of_rows(named, None)
        case ["models", model, "versions", named]:
            return _of_rows(named, model)
    return None


def _of_protocol(model: str, rest: list[str]) -> Target | None:
    """The Open Inference Protocol's routes of one model."""
    version, rest = (rest[1], rest[2:]) if rest[:1] == ["versions"] and rest[1:] else (None, rest)
    kind = _OF_MODEL.get(tuple(rest))
    return Target(kind=kind, model=model, version=version) if kind else None


def _of_rows(named: str, model: str | None) -> Target | None:
    """MODEL:predict, or VERSION:predict of a model."""
    name, colon, verb = named.rpartition(":")
    if not colon or verb != "predict":
        return None
    if model is None:
        return Target(kind="predict", model=name)
    return Target(kind="predict", model=model, version=name)


_ID = re.compile(rb"[!-~]{1,64}")
_SMALL = 64 * 1024  # of a body that is not wanted, to be thrown away without closing


@dataclass(kw_only=True, slots=True)
class RequestContext:
    """One request. Unlike other records it is filled in, as things become known.

    Args:
        method: Such as GET.
        path: As it came, without the query.
        headers: Headers by their names in lower case.
        id: That the client gave it, or that was made.
        began: When its headers were there, by time.perf_counter.
        target: What it asks for; None for no such path.
        model: That it asks; empty until it is known to be ours.
        revision: That was chosen.
        pinned: Whether the client named it, and it is no part of the shared traffic.
        query: What stood behind the path's question mark.
        rows: That it asks about.
        read: Whether its body was read.
        error: What it ended with, if not with an answer.
        span: Of its trace, where there is one.
    """

    method: str
    path: bytes
    headers: Mapping[bytes, bytes]
    id: bytes
    began: float
    target: Target | None
    model: str = ""
    revision: str = ""
    pinned: bool = False
    query: bytes = b""
    rows: int = 0
    read: bool = False
    error: Exception | None = None
    span: Any = None

    @property
    def leaves_much(self) -> bool:
        """Whether so much of its body may be unread that the connection is not worth keeping.

        A client that waits for `100 Continue` may leave its body out now, and its next request must
        not be taken for that.
        """
        if self.read:
            return False
        if b"expect" in self.headers:
            return True
        length = int(self.headers.get(b"content-length", b"0"))
        return length > _SMALL or b"transfer-encoding" in self.headers


def made_ids() -> Iterator[bytes]:
    """Ids for requests that came without: no two alike, whichever process makes them."""
    process = secrets.token_hex(8)
    return (f"{process}-{number:x}".encode() for number in itertools.count())


def given_id(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The id that the client gave, if it can be sent back and logged as it is."""
    found = headers.get(b"x-request-id")
    return found if found is not None and _ID.fullmatch(found) else None
