"""The address of a serving program, and its listening sockets.

Each process listens on a socket of its own, and the system distributes connections over them
(SO_REUSEPORT): where several wait on one socket, it happens that one of them gets all. The
supervisor binds them and keeps them open, so that connections of a process that died wait for its
successor. One more socket is bound and never listens: it reserves the port while no process runs.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from dataclasses import dataclass
from typing import Self

from fairlead.errors import Invalid, NextStep

_BACKLOG = 2048  # connections that wait to be accepted
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - these bind nothing


@dataclass(frozen=True, kw_only=True)
class BoundAddress:
    """A bound address; a context manager that releases it."""

    host: str  # as it was asked for
    anchor: socket.socket
    advertised: str = ""  # by which others reach it; empty: by what is bound

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.anchor.getsockname()[0]).is_loopback

    @property
    def url(self) -> str:
        """The URL for clients: on this machine, unless a name for others is advertised."""
        address, port = self.anchor.getsockname()[:2]
        name = self.advertised or _LOOPBACK.get(address, self.host)
        return f"http://{f'[{name}]' if ':' in name else name}:{port}"

    def listen(self) -> socket.socket:
        """One more listening socket of this address."""
        listener = _bound(self.anchor.family, self.anchor.getsockname(), shared=True)
        listener.listen(_BACKLOG)
        return listener

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.anchor.close()


def bind(host: str, port: int, *, tokens: bool, advertised: str = "") -> BoundAddress:
    """Bind this address.

    Args:
        host: Name or address.
        port: 0 for a free one.
        tokens: Whether requests need a token.
        advertised: Name or address by which others reach it; empty for what is bound.

    Raises:
        Invalid: It is not of this machine, or in use; or it is reachable from other machines, and
            requests need no token.
    """
    family, address = _resolved(host, port)
    if not (tokens or ipaddress.ip_address(address[0]).is_loopback):
        add = NextStep("token.add", {"name": None}, "adds a token")
        raise Invalid(
            f"binding {host!r}: other machines can reach it, and without a token every request "
            "would be accepted; add a token, or bind 127.0.0.1",
            code="token_required",
            next_steps=(add,),
        )
    try:
        _refuse_used(family, address)
        anchor = _bound(family, address, shared=True)
        return BoundAddress(host=host, anchor=anchor, advertised=advertised)
    except OSError as error:
        raise Invalid(
            f"binding {host}:{port}: {error.strerror or error}; choose another port (0 takes a "
            "free one)"
        ) from error


def _resolved(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError, OverflowError) as error:
        raise Invalid(f"binding {host!r}, port {port!r}: {error}") from error
    family, *_, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    return family, (str(address[0]), int(address[1]))


def _refuse_used(family: socket.AddressFamily, address: tuple[str, int]) -> None:
    """Fail where a program listens there, which sharing sockets of the same user would not."""
    if address[1]:
        with contextlib.closing(_bound(family, address, shared=False)) as probe:
            probe.listen()


def _bound(
    family: socket.AddressFamily, address: tuple[str, int], *, shared: bool
) -> socket.socket:
    # The protocol's number is given because asyncio's own loop disables the delay of small writes
    # (Nagle's) for such sockets only.
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
