"""A rank's end of a gang: it calls the driver, opens the fit that it hears of, and computes parts.

It keeps nothing that a part depends on beyond the fit and the step's state, so it may be killed,
stopped and continued, or cut off at any moment. While it computes, a thread says that it is alive,
and ends the process where the driver is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from fairlead.backoff import Backoff, doubled
from fairlead.errors import (
    Failed,
    FairleadError,
    Forbidden,
    Transient,
    Unreachable,
    described,
)
from fairlead.gang import messages, wire
from fairlead.gang.work import Computation, FitJob, OpenComputation, Work, answer_of

if TYPE_CHECKING:
    from fairlead.gang.messages import FromRank, ToRank
    from fairlead.gang.work import Vector

TF_CONFIG = "TF_CONFIG"
"""Where TensorFlow reads which ranks there are, and which one this is."""
_BEAT = 0.5
"""Seconds between two signs of life."""
_LETS_IN = 15.0
"""Seconds in which a driver that listens proves itself and lets a rank in."""
_FIRST = 120.0
"""Seconds for which a rank calls a driver that may not listen yet, or refuses it."""
_AGAIN = 3.0
"""Seconds for which it calls one that has ended their connection."""
_ENDING = 2.0
"""Seconds in which a rank notices by itself that its connection has ended."""


@dataclass(frozen=True, kw_only=True)
class Contact:
    """Where a rank finds its driver, and how each knows the other.

    Args:
        address: `host:port`.
        secret: The gang's.
        rank: Its own number.
    """

    address: str
    secret: str
    rank: int


def compute_parts(contact: Contact, open_computation: OpenComputation) -> None:
    """Compute what the driver asks for, until it says that the gang is over.

    Raises:
        Unreachable: The driver does not answer, or is gone.
        Forbidden: It does not let this rank in, or is no driver.
        Transient: What the fit needs could not be reached.
    """
    computations = _Computations(open_computation, contact.rank)
    seconds = _FIRST
    while not _served(contact, computations, seconds):
        computations.refuse_another_gang()
        seconds = _AGAIN


def _served(contact: Contact, computations: _Computations, seconds: float) -> bool:
    """Serve one connection; whether the driver ended the gang, and not the connection alone."""
    with contextlib.closing(_Link(_connected(contact, seconds))) as link:
        session = _Session(link, computations)
        with contextlib.suppress(OSError):  # the connection broke: call again
            while session.serve():
                pass
            return True
    return False


# ---- the fit -----------------------------------------------------------------------------------


class _Computations:
    """The computation of the fit that was opened last: a rank that calls again has it still."""

    def __init__(self, open_computation: OpenComputation, rank: int) -> None:
        self._open = open_computation
        self._rank = rank
        self._has_peers = False
        self._kept: tuple[FitJob, Computation] | None = None

    def of(self, fit: FitJob) -> Computation:
        if self._kept is None or self._kept[0] != fit:
            self._kept = None  # so that there are never two in memory
            self._kept = fit, self._open(fit)
        return self._kept[1]

    def find(self, addresses: Sequence[str]) -> None:
        """Have TensorFlow find the other ranks; an operator that made TF_CONFIG knows better."""
        self._has_peers = True
        task = {"type": "worker", "index": self._rank}
        own = json.dumps({"cluster": {"worker": list(addresses)}, "task": task})
        os.environ.setdefault(TF_CONFIG, own)

    def refuse_another_gang(self) -> None:
        """End where a library knows ranks of a gang that is gone.

        Raises:
            Unreachable: It does.
        """
        if self._has_peers:
            raise Unreachable("a rank that this one computed with is gone: the gang begins anew")


class _Session:
    """What is said over one connection."""

    def __init__(self, link: _Link, computations: _Computations) -> None:
        self._link = link
        self._computations = computations
        self._job = 0
        self._computation: Computation | None = None
        self._work: Work | None = None

    def serve(self) -> bool:
        """Do what the driver says next; False once it ends the gang."""
        message, body = self._link.receive()
        match message:
            case messages.Open():
                self._open(message)
            case messages.Peers(addresses=addresses):
                self._computations.find(addresses)
            case messages.Step(kind=kind, step=step, parts=parts):
                state = wire.vector_of(body)
                self._work = Work(kind=kind, step=step, parts=parts, state=state)
            case messages.Compute(number=number):
                self._compute(number)
            case messages.End():
                return False
        return True

    def _open(self, message: messages.Open) -> None:
        self._job, self._computation, self._work = message.job, None, None
        with self._telling(messages.Raised(job=self._job, reason="")):
            self._computation = self._computations.of(message.fit)
            self._link.send(messages.Opened(job=self._job))

    def _compute(self, number: int) -> None:
        computation, work = self._computation, self._work
        if computation is None or work is None:
            raise ConnectionError("it was asked for a part before it had a step")
        place = messages.Raised(job=self._job, reason="", step=work.step, number=number)
        with self._telling(place):
            vector = answer_of(computation, work, number)
            answer = messages.Answer(job=self._job, step=work.step, number=number)
            self._link.send(answer, vector)

    @contextlib.contextmanager
    def _telling(self, place: messages.Raised) -> Iterator[None]:
        """Tell the driver what is raised; it goes on where another try may help."""
        try:
            yield
        except (MemoryError, ConnectionError):
            raise
        except Exception as error:
            transient = isinstance(error, Transient)
            code = error.code if isinstance(error, FairleadError) else Failed.default_code
            told = msgspec.structs.replace(
                place, reason=described(error), code=code, transient=transient
            )
            self._link.send(told)
            if transient:
                raise


# ---- the connection ----------------------------------------------------------------------------


class _Link:
    """The connection to the driver, and the thread that says over it that the rank is alive."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._beat, name="alive", daemon=True).start()

    def send(self, message: FromRank, body: Vector | None = None) -> None:
        """Send a message."""
        with self._sending:
            _send(self._connection, message, body)

    def receive(self) -> tuple[ToRank, bytearray]:
        """Wait for a message."""
        return _receive(self._connection)

    def close(self) -> None:
        """End the connection."""
        self._closed.set()
        with contextlib.suppress(OSError):  # the driver has ended it
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _beat(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # it was closed, at either end
            while not self._is_cut(_BEAT):
                self.send(messages.Alive())
        if not self._closed.wait(_ENDING):  # it computes, and nobody waits for that
            sys.stderr.write("the driver of the gang is gone: ending in the middle of a part\n")
            sys.stderr.flush()
            os._exit(1)

    def _is_cut(self, seconds: float) -> bool:
        """Wait so long, or until the driver has ended the connection."""
        poll = select.poll()
        poll.register(self._connection, getattr(select, "POLLRDHUP", 0))
        return bool(poll.poll(seconds * 1000))


def _connected(contact: Contact, seconds: float) -> socket.socket:
    """A connection over which the driver has let this rank in.

    Raises:
        Unreachable: None within so many seconds.
        Forbidden: What listens there is no driver of this gang, or has another of this number.
    """
    host, _, port = contact.address.rpartition(":")
    backoff = Backoff(seconds, doubled(0.1, 2.0))
    while True:
        try:
            connection = socket.create_connection((host.strip("[]"), int(port)), timeout=_LETS_IN)
        except OSError as error:
            if not backoff.wait():
                raise Unreachable(
                    f"the driver of the gang at {contact.address} does not answer: "
                    f"{error.strerror or error}"
                ) from error
            continue
        refused = _introduced(connection, contact)
        if refused is None:
            connection.settimeout(None)
            return connection
        connection.close()
        if not backoff.wait():
            raise refused


def _introduced(connection: socket.socket, contact: Contact) -> FairleadError | None:
    """Have each end prove itself; why the driver did not let this rank in, where it did not."""
    try:
        wire.prepare(connection)
        _prove(connection, contact.secret)
        hello = messages.Hello(
            rank=contact.rank,
            host=socket.gethostname(),
            process=os.getpid(),
            port=_free_port(),
        )
        _send(connection, hello)
        said, _ = _receive(connection)
    except OSError as error:
        return Unreachable(
            f"the driver of the gang at {contact.address} ended the connection: "
            f"{error.strerror or error}"
        )
    except BaseException:
        connection.close()
        raise
    if isinstance(said, messages.Welcome):
        return None
    why = said.reason if isinstance(said, messages.Refused) else f"it said {said}"
    return Forbidden(f"the driver of the gang at {contact.address} refuses this rank: {why}")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("", 0))
        port: int = one.getsockname()[1]
        return port


def _prove(connection: socket.socket, secret: str) -> None:
    challenge = _bytes(connection, wire.CHALLENGE)
    response = wire.response(secret, challenge)
    connection.sendall(response)
    proof = _bytes(connection, wire.PROOF)
    wire.refuse_driver(secret, challenge, response, proof)


def _bytes(connection: socket.socket, count: int) -> bytes:
    content = bytearray(count)
    wire.fill(connection, memoryview(content))
    return bytes(content)


def _send(connection: socket.socket, message: FromRank, body: Vector | None = None) -> None:
    for buffer in wire.frame(messages.encode(message), body):
        connection.sendall(buffer)


def _receive(connection: socket.socket) -> tuple[ToRank, bytearray]:
    head, body = wire.receive(connection, wire.reading())
    try:
        return messages.to_rank(head), body
    except ValueError as error:
        raise Failed(
            f"the driver of the gang says what this rank does not know: {error}; both need the "
            "same version of Fairlead"
        ) from error
