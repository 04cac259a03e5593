"""One connection to the driver of a gang: of a rank, or of a stranger that has proved nothing yet.

Its socket never waits: what is to be sent is kept until it can be, what arrives is taken as it
comes.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairlead.gang import messages, wire
from fairlead.gang.step_in_hand import StepInHand

if TYPE_CHECKING:
    from fairlead.gang.messages import ToRank
    from fairlead.gang.work import Vector

_READS = 64
"""Reads of one connection before others have their turn."""


@dataclass(frozen=True, kw_only=True)
class Computing:
    """The part that a rank computes."""

    step: StepInHand
    number: int
    since: float


class Connection:
    """A connection to a driver.

    Args:
        peer: Its socket.
        where: Its address, for messages.
        protocol: What is read from it, and done.
    """

    def __init__(
        self, peer: socket.socket, where: str, protocol: Callable[[Connection], wire.Filling[None]]
    ) -> None:
        self.peer = peer
        self.where = where
        self.since = self.heard = time.monotonic()
        self.is_proved = False  # whether it knows the secret
        self.hello: messages.Hello | None = None  # of a rank that is let in
        self.opened = 0  # number of the fit that it has what it needs of
        self.opening: float | None = None  # since when it opens another
        self.is_overdue = False  # whether it has done so for too long
        self.computing: Computing | None = None
        self._informed: StepInHand | None = None  # the step whose state it was sent
        self._unsent: deque[memoryview] = deque()
        self._incoming = wire.Incoming(protocol(self))

    @property
    def name(self) -> str:
        """What messages call it."""
        if self.hello is None:
            return self.where
        return f"rank {self.hello.rank} (process {self.hello.process} on {self.hello.host})"

    @property
    def rank(self) -> int:
        """Number of the rank that it is of."""
        assert self.hello is not None, "of one that is let in"
        return self.hello.rank

    @property
    def listens(self) -> str:
        """Where the rank can be reached by others of its gang."""
        assert self.hello is not None, "of one that is let in"
        host, _, _ = self.where.rpartition(":")
        return f"{host}:{self.hello.port}"

    @property
    def has_unsent(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._unsent)

    def receive(self) -> None:
        """Read and do what has arrived.

        Raises:
            ConnectionError: The connection has ended.
            OSError: It broke.
            ValueError: What arrived is no frame, or no message.
        """
        with contextlib.suppress(BlockingIOError):
            for _ in range(_READS):
                self._incoming.receive(self.peer)
                self.heard = time.monotonic()

    def ask(self, step: StepInHand, number: int, *, now: float) -> None:
        """Have the rank compute a part; the state goes to it once a step."""
        if self._informed is not step:
            self._informed = step
            self.tell(step.described, step.work.state)
        self.tell(messages.Compute(number=number))
        self.computing = Computing(step=step, number=number, since=now)

    def tell(self, message: ToRank, body: Vector | None = None) -> None:
        """Send a message, as soon as it can be."""
        self.send(*wire.frame(messages.encode(message), body))

    def send(self, *buffers: memoryview) -> None:
        """Send bytes, as soon as they can be."""
        self._unsent.extend(buffers)

    def flush(self) -> None:
        """Send what can be sent now.

        Raises:
            OSError: The connection broke.
        """
        with contextlib.suppress(BlockingIOError):
            while self._unsent:
                sent = self.peer.send(self._unsent[0])
                rest = self._unsent[0][sent:]
                if len(rest):
                    self._unsent[0] = rest
                else:
                    self._unsent.popleft()
