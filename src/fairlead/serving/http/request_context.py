"""A request while it is answered.

Belongs here: what is known of it so far, for its answer, the metrics, the log and the trace. Does
not: its body.
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.serving.http.paths import Target

_ID = re.compile(rb"[!-~]{1,64}")
_SMALL = 64 * 1024  # of a body that is not wanted, to be thrown away without closing


@dataclass(kw_only=True, slots=True)
class Visit:
    """One request. Unlike other records it is filled in, as things become known.

    Args:
        method: Such as GET.
        path: As it came, without the query.
        heads: Headers by their names in lower case.
        id: That the client gave it, or that was made.
        began: When its headers were there, by time.perf_counter.
        target: What it asks for; None for what is not there.
        model: That it asks; empty until it is known to be ours.
        revision: That was chosen.
        pinned: Whether the client named it, and it is no part of the shared traffic.
        query: What stood behind the path's question mark.
        whole: Whether its body is there, as far as the connection knows.
        rows: That it asks about.
        read: Whether its body was read.
        error: What it ended with, if not with an answer.
        span: Of its trace, where there is one.
    """

    method: str
    path: bytes
    heads: Mapping[bytes, bytes]
    id: bytes
    began: float
    target: Target | None
    model: str = ""
    revision: str = ""
    pinned: bool = False
    query: bytes = b""
    whole: bool = False
    rows: int = 0
    read: bool = False
    error: Exception | None = None
    span: Any = None

    @property
    def leaves_much(self) -> bool:
        """Whether so much of its body may be unread that the connection is not worth keeping."""
        if self.read:
            return False
        length = int(self.heads.get(b"content-length", b"0"))
        return length > _SMALL or b"transfer-encoding" in self.heads


def made_ids() -> Iterator[bytes]:
    """Ids for requests that came without: no two alike, whichever process makes them."""
    process = secrets.token_hex(8)
    return (f"{process}-{number:x}".encode() for number in itertools.count())


def given_id(heads: Mapping[bytes, bytes]) -> bytes | None:
    """The id that the client gave, if it can be sent back and logged as it is."""
    found = heads.get(b"x-request-id")
    return found if found is not None and _ID.fullmatch(found) else None
