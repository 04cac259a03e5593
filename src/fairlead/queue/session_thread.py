"""A thread that owns the connection to a broker, and the queue that others see of it.

A connection has to be answered while its owner does something else for hours, a broker that hangs
must not hang its owner, and pika's connection may be used by one thread only. So a thread of its
own connects, consumes while somebody waits in `next`, publishes what `announce` hands it, and
connects anew, ever more slowly, when anything is wrong; callers wait for it for a bounded time.

It consumes one hint at a time, and stops at once when it has come: a worker that trains is given
nothing.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, TypeVar

from fairlead.errors import FairleadError, Invalid, Unreachable
from fairlead.queue.interface import Delivery, Hint
from fairlead.queue.message import decoded, encoded

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds that `announce` and `close` wait for the broker."""

_TURN = 1.0  # seconds after which it is looked whether the channel is still open
_SHORTEST, _LONGEST = 0.25, 30.0  # seconds before a further try to connect
_SETTLED = 10.0  # seconds that a connection must hold to count as one


@dataclass(frozen=True, kw_only=True)
class Message:
    """Bytes that arrived."""

    tag: int
    body: bytes


class Session(Protocol):
    """One connection with one channel. Only `wake` may be called by other threads.

    Every method but `close` and `wake` raises Unreachable when it is lost, and then only `close`
    may follow.
    """

    @property
    def consuming(self) -> bool:
        """Whether the broker may send a message."""
        ...

    def publish(self, body: bytes) -> None:
        """Publish, and wait until the broker has it."""
        ...

    def consume(self) -> None:
        """Ask for one message."""
        ...

    def cancel(self) -> None:
        """Ask for no more."""
        ...

    def acknowledge(self, tag: int) -> None:
        """Have the broker forget the message."""
        ...

    def give_back(self, tag: int) -> None:
        """Have the broker give the message to another."""
        ...

    def bury(self, message: Message, reason: str) -> None:
        """Put the message where a person finds it, with the reason."""
        ...

    def turn(self, seconds: float) -> Message | None:
        """Answer the broker until a message comes, somebody wakes it, or the time is over."""
        ...

    def wake(self) -> None:
        """End the turn that goes on, or else the next one."""
        ...

    def close(self) -> None:
        """Close what is still open."""
        ...


@dataclass(frozen=True, kw_only=True)
class _Receipt:
    session: Session
    tag: int


@dataclass(frozen=True, kw_only=True)
class _Publication:
    body: bytes
    confirmed: Future[None]


def pause(failures: int, chance: float) -> float:
    """Seconds to wait after so many failures in a row, by a chance from 0 to 1.

    Doubled each time, and at least half of it random, so that workers do not come all at once to
    a broker that is back.
    """
    longest: float = min(_LONGEST, _SHORTEST * 2.0 ** min(failures, 16))
    return longest * (1 + chance) / 2


class ThreadedQueue:
    """A queue whose connection a thread of its own keeps.

    Args:
        connect: Opens a session; raises a FairleadError where there is none to be had.
        name: Of the broker, for messages.
        notice: Is told, in a line, when the broker is lost, why, and when it is back; called in
            the queue's thread.
        patience: Seconds that `announce` and `close` wait.
    """

    def __init__(
        self,
        connect: Callable[[], Session],
        *,
        name: str,
        notice: Callable[[str], None],
        patience: float = PATIENCE,
    ) -> None:
        self._connect = connect
        self._name = name
        self._notice = notice
        self._patience = patience
        self._turn_of_next = threading.Lock()
        self._state = threading.Condition()  # guards what follows
        self._closing = False
        self._session: Session | None = None
        self._fault: FairleadError | None = None  # since when there is no session
        self._waiting: Future[Delivery | None] | None = None
        self._publications: deque[_Publication] = deque()
        self._receipts: deque[_Receipt] = deque()
        self._thread = threading.Thread(target=self._run, name="fairlead-queue", daemon=True)
        self._thread.start()

    def announce(self, hint: Hint) -> None:
        """Publish, and wait until it is confirmed. Raises as `Queue.announce` does."""
        publication = _Publication(body=encoded(hint), confirmed=Future())
        with self._state:
            if self._closing:
                raise self._closed()
            if self._fault is not None:
                raise Unreachable(str(self._fault), code=self._fault.code)
            self._publications.append(publication)
            self._wake()
        try:
            publication.confirmed.result(self._patience)
        except TimeoutError:
            publication.confirmed.cancel()
            raise Unreachable(
                f"{self._name} did not confirm a hint within {self._patience:g} s"
            ) from None

    def next(self, timeout: float) -> Delivery | None:
        """Consume until a hint comes, and no longer."""
        deadline = time.monotonic() + timeout
        if not self._turn_of_next.acquire(timeout=max(0.0, timeout)):
            return None
        try:
            return self._next(deadline)
        finally:
            self._turn_of_next.release()

    def _next(self, deadline: float) -> Delivery | None:
        arrival: Future[Delivery | None] = Future()
        with self._state:
            if self._closing:
                return None
            self._waiting = arrival
            self._wake()
        try:
            return arrival.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            with self._state:
                self._waiting = None
                self._wake()
                return arrival.result() if arrival.done() else None  # it came in this moment

    def acknowledge(self, delivery: Delivery) -> None:
        """Acknowledge, if its connection is still there; else the broker has it back already."""
        if isinstance(delivery.receipt, _Receipt):
            with self._state:
                self._receipts.append(delivery.receipt)
                self._wake()

    def close(self) -> None:
        """Close the connection, and end the thread unless the broker keeps it for too long."""
        with self._state:
            self._closing = True
            self._wake()
        self._thread.join(self._patience)

    def _wake(self) -> None:
        self._state.notify_all()
        if self._session is not None:
            self._session.wake()

    def _run(self) -> None:
        try:
            self._keep_connected()
        finally:
            self._end()

    def _keep_connected(self) -> None:
        failures = 0
        while not self._closing:
            began = time.monotonic()
            try:
                self._hold_session()
            except FairleadError as error:
                held = time.monotonic() - began > _SETTLED and self._fault is None
                failures = 1 if held else failures + 1
                self._lost(error)
                self._wait(pause(failures, random.random()))

    def _hold_session(self) -> None:
        """Connect, and serve until the queue is closed; raises what ends it before."""
        session = self._connect()
        try:
            self._found(session)
            while not self._closing:
                self._serve(session)
            self._settle(session)
        finally:
            with self._state:
                self._session = None
            session.close()

    def _serve(self, session: Session) -> None:
        """One turn: consume if somebody waits, do what was asked for, listen."""
        wanted = self._waiting is not None
        if wanted and not session.consuming:
            session.consume()
        elif session.consuming and not wanted:
            session.cancel()
        self._settle(session)
        message = session.turn(_TURN)
        if message is not None:
            self._take(session, message)

    def _settle(self, session: Session) -> None:
        """Acknowledge and publish what was asked for so far."""
        while receipt := _first(self._receipts):
            if receipt.session is session:
                session.acknowledge(receipt.tag)
        while publication := _first(self._publications):
            _publish(session, publication)

    def _take(self, session: Session, message: Message) -> None:
        try:
            hint = decoded(message.body)
        except Invalid as error:
            session.bury(message, str(error))
            return
        session.cancel()
        delivery = Delivery(hint=hint, receipt=_Receipt(session=session, tag=message.tag))
        with self._state:
            waiting, self._waiting = self._waiting, None
            if waiting is not None:
                waiting.set_result(delivery)
        if waiting is None:
            session.give_back(message.tag)

    def _found(self, session: Session) -> None:
        with self._state:
            self._session = session
            was, self._fault = self._fault, None
        if was is not None:
            self._notice(f"the queue at {self._name} is back")

    def _lost(self, error: FairleadError) -> None:
        with self._state:
            was, self._fault = self._fault, error
        if was is None or str(was) != str(error):
            self._notice(f"{error}; workers look into the ledger meanwhile")
        while publication := _first(self._publications):
            _fail(publication, error)

    def _wait(self, seconds: float) -> None:
        with self._state:
            self._state.wait_for(lambda: self._closing, seconds)

    def _end(self) -> None:
        """Nobody waits for a thread that is gone."""
        with self._state:
            self._closing = True
            waiting, self._waiting = self._waiting, None
            if waiting is not None:
                waiting.set_result(None)
        while publication := _first(self._publications):
            _fail(publication, self._closed())

    def _closed(self) -> Unreachable:
        return Unreachable(f"the queue at {self._name} was closed")


def _first(items: deque[T]) -> T | None:
    """Taken from the left; other threads add at the right."""
    return items.popleft() if items else None


def _publish(session: Session, publication: _Publication) -> None:
    if not publication.confirmed.set_running_or_notify_cancel():
        return  # whoever asked for it has gone
    try:
        session.publish(publication.body)
    except FairleadError as error:
        publication.confirmed.set_exception(Unreachable(str(error), code=error.code))
        raise
    publication.confirmed.set_result(None)


def _fail(publication: _Publication, error: FairleadError) -> None:
    if publication.confirmed.set_running_or_notify_cancel():
        publication.confirmed.set_exception(Unreachable(str(error), code=error.code))
