"""Ports for servers that tests start, and that some of them end and start again.

They lie below those that the system gives to connections and to whoever asks for any port, so that
no other process is given one while its server is away.
"""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

_LOWEST = 10_000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_CHANCE = random.SystemRandom()  # no two test processes are to draw the same ones


def free_ports(count: int) -> list[int]:
    """So many different ports of the loopback that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        return [_bound(stack.enter_context(socket.socket())) for _ in range(count)]


def _bound(one: socket.socket) -> int:
    while True:
        with contextlib.suppress(OSError):  # somebody has it
            one.bind(("127.0.0.1", _drawn()))
            port: int = one.getsockname()[1]
            return port


def _drawn() -> int:
    """A port; any, as the system chooses, where there is no room below those that it gives."""
    try:
        given = int(_RANGE.read_text().split()[0])
    except OSError:  # not Linux
        return 0
    return _CHANCE.randrange(_LOWEST, given) if given > 2 * _LOWEST else 0
