"""Listening sockets, closed without resetting the connections that wait in their queue.

A listening socket that is closed resets every connection that is established and not yet accepted,
though its client may have sent a request. So newcomers are turned away first: a filter on the
socket drops their first packet (SYN) as if it had been lost. Whoever is on the way in is accepted,
and only then is the socket closed. A client whose packet was dropped sends it again after a second,
and is refused by then, or accepted by the next process. Without the filter requests are lost
(docs/decisions/0008-http-server.md).

The filter belongs to the socket, so it holds for all processes that have it open.
"""

from __future__ import annotations

import ctypes
import select
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress

_ATTACH, _DETACH = 26, 27  # SO_ATTACH_FILTER, SO_DETACH_FILTER of Linux
_FLAGS, _SYN, _SYN_ACK = 13, 0x02, 0x12  # of a TCP header: where, and two of them
_INSTRUCTIONS = (  # classic BPF (the kernel's networking/filter.rst): code, then, else, operand
    (0x30, 0, 0, _FLAGS),  # load this byte
    (0x54, 0, 0, _SYN_ACK),  # keep these bits of it
    (0x15, 0, 1, _SYN),  # go on if that is SYN alone, else skip one
    (0x06, 0, 0, 0),  # drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # take all of it
)


def drop_new_connections(listening: socket.socket) -> None:
    """Drop the first packet of each newcomer, where the system can (Linux)."""
    code = b"".join(struct.pack("HBBI", *one) for one in _INSTRUCTIONS)
    kept = ctypes.create_string_buffer(code)
    program = struct.pack("HP", len(_INSTRUCTIONS), ctypes.addressof(kept))
    with suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, _ATTACH, program)


def accept_new_connections(listening: socket.socket) -> None:
    """Undo `drop_new_connections`."""
    with suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, _DETACH, 0)


def has_waiting(listening: Iterable[socket.socket]) -> bool:
    """Whether an established connection waits to be accepted."""
    poll = select.poll()
    for one in listening:
        poll.register(one, select.POLLIN)
    return bool(poll.poll(0))
