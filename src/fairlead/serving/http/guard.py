"""Who may ask: tokens, or this machine alone.

With tokens, every route but the two of health wants one. Without, the server is bound to this
machine, and what remains to be kept out is a web page in this machine's browser: it must not reach
the server by a name of its own (DNS rebinding), nor from another origin.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Mapping
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import urlsplit

from fairlead.serving.http.response import Refused
from fairlead.serving.request import Target

_CHALLENGE = (b"www-authenticate", b'Bearer realm="fairlead"')
_LONGEST = 261  # a name of 255 and a port


class Guard:
    """Admits or refuses requests.

    Args:
        tokens: Hashes of those that are admitted; none: everybody on this machine is.
        host: The name or address that was asked to be bound.
    """

    def __init__(self, tokens: Iterable[str], host: str) -> None:
        self._tokens = tuple(tokens)
        self._host = host.lower()
        self._ours = lru_cache(maxsize=256)(self._names_us)

    def admit(self, tokens: Iterable[str]) -> None:
        """Admit these tokens from now on, and no others.

        Args:
            tokens: Their hashes; none: everybody on this machine is admitted.
        """
        self._tokens = tuple(tokens)

    def check(self, target: Target | None, headers: Mapping[bytes, bytes]) -> None:
        """Check whether the request may be answered.

        Args:
            target: What it asks for; None for what is not there.
            headers: Its headers.

        Raises:
            Refused: It may not.
        """
        if self._tokens:
            self._check_token(target, headers)
            return
        host = headers.get(b"host", b"localhost")
        if not self._ours(host[:_LONGEST]):
            raise _foreign("Host", host)
        origin = headers.get(b"origin")
        if origin is not None and not self._ours(_host_of(origin[:_LONGEST])):
            raise _foreign("Origin", origin)

    def _check_token(self, target: Target | None, headers: Mapping[bytes, bytes]) -> None:
        if target is not None and target.open:
            return
        if not accepts(self._tokens, headers.get(b"authorization", b"")):
            raise Refused(
                HTTPStatus.UNAUTHORIZED,
                "a valid token is required: send 'Authorization: Bearer TOKEN'",
                _CHALLENGE,
            )

    def _names_us(self, host: bytes) -> bool:
        """Whether a Host header names this machine, at any port: ports are forwarded."""
        try:
            name = (urlsplit(f"//{host.decode('ascii')}").hostname or "").rstrip(".")
        except ValueError:
            return False
        return name in {"localhost", self._host} or name.endswith(".localhost") or _loopback(name)


def _loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _host_of(origin: bytes) -> bytes:
    """What stands for a host in an origin; nothing of ours in `null`, which hides where it is."""
    return origin.partition(b"://")[2] or b"null"


def _foreign(header: str, value: bytes) -> Refused:
    shown = value[:_LONGEST].decode("latin-1")
    return Refused(
        HTTPStatus.FORBIDDEN,
        f"{header} {shown!r} is not this machine; without tokens the server answers this machine "
        "only: ask for localhost, or start it with a token",
    )


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
