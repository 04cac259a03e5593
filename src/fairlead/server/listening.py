"""The address of a serving program, and its listening sockets.

Belongs here: binding. Does not: what is done with connections (serving/http/connection.py).

Each process listens on a socket of its own, and the system deals connections out to them
(SO_REUSEPORT): where several wait on one socket, it happens that one of them gets all. The
supervisor binds them and keeps them open, so that what has come in for a process that died waits
for its successor. One socket more is bound and never listens: it keeps the port ours while no
process is there.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from dataclasses import dataclass
from typing import Self

from fairlead.errors import Invalid

_BACKLOG = 2048  # connections that wait to be accepted


@dataclass(frozen=True, kw_only=True)
class BoundAddress:
    """A bound address; a context manager that lets go of it."""

    host: str  # as it was asked for
    anchor: socket.socket

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.anchor.getsockname()[0]).is_loopback

    @property
    def url(self) -> str:
        """Where a client of this machine asks."""
        address, port = self.anchor.getsockname()[:2]
        name = _LOOPBACK.get(address, self.host)
        return f"http://{f'[{name}]' if ':' in name else name}:{port}"

    def opened(self) -> socket.socket:
        """One more listening socket of this address."""
        listening = _bound(self.anchor.family, self.anchor.getsockname(), shared=True)
        listening.listen(_BACKLOG)
        return listening

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.anchor.close()


_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - these bind nothing


def bind(host: str, port: int, *, tokens: bool) -> BoundAddress:
    """Bind this address.

    Args:
        host: Name or address.
        port: 0 for one that is free.
        tokens: Whether only those are let in who have one.

    Raises:
        Invalid: It is not of this machine, or in use; or others could reach it, and without tokens
            they would all be let in.
    """
    family, address = _resolved(host, port)
    if not (tokens or ipaddress.ip_address(address[0]).is_loopback):
        raise Invalid(
            f"binding {host!r}: others could reach it, and without a token everybody would be let "
            "in; make one with `fairlead token add NAME`, or bind 127.0.0.1"
        )
    try:
        _probe(family, address)
        return BoundAddress(host=host, anchor=_bound(family, address, shared=True))
    except OSError as error:
        raise Invalid(
            f"binding {host}:{port}: {error.strerror or error}; choose another with --port "
            "(0 takes one that is free)"
        ) from error


def _resolved(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError, OverflowError) as error:
        raise Invalid(f"binding {host!r}, port {port!r}: {error}") from error
    family, *_, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    return family, (str(address[0]), int(address[1]))


def _probe(family: socket.AddressFamily, address: tuple[str, int]) -> None:
    """Fail where anybody listens there, which sharing sockets of the same user would not."""
    if address[1]:
        with contextlib.closing(_bound(family, address, shared=False)) as probe:
            probe.listen()


def _bound(
    family: socket.AddressFamily, address: tuple[str, int], *, shared: bool
) -> socket.socket:
    # The protocol's number is given because asyncio's own loop takes the delay of small writes
    # (Nagle's) off such sockets only.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(address)
    except BaseException:
        made.close()
        raise
    return made
