"""The driver's end of a gang: ranks connect to it, and it has them compute the parts of steps.

One thread has all connections. It reads and writes what can be read and written now, so a peer that
is slow, stopped, or no rank at all keeps nobody waiting. What others want done (a fit to open, a
step to compute) is handed to that thread.

A rank may connect at any moment, and may be lost at any: its part goes to another. Of two that say
they are the same one, the older stays unless it says nothing any more.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import selectors
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

from fairlead.errors import Failed, Invalid
from fairlead.gang import assignment, messages, wire
from fairlead.gang.assignment import Patience
from fairlead.gang.connection import Computing, Connection
from fairlead.gang.step_in_hand import StepInHand
from fairlead.gang.work import FitJob, Work

if TYPE_CHECKING:
    from fairlead.gang.work import Vector

_LOG = logging.getLogger(__name__)

_ROUND = 0.1
"""Seconds between two looks at what is late."""
_MEANWHILE = 0.2
"""Seconds between two calls of what is done while a step is computed."""
_TIMES_STATE, _BESIDE_STATE = 4, 64 << 20
"""An answer has at most so many times the bytes of the state of its step, and so many more."""
_STRANGERS = 256
"""Connections that may be unproved at once; a further one ends the oldest."""


class Hub:
    """A gang whose ranks call the driver. A context manager that ends it.

    Args:
        secret: What the ranks prove themselves by.
        host: Address that it listens on.
        port: Its port; any that is free if 0.
        advertised: Host that ranks find it by; `host` if None.
        collective: How many ranks there are, where they find each other: then all begin together,
            and the end of one is that of all. None where each is for itself.
        patience: How long it waits for what.

    Raises:
        Invalid: Nothing can listen there.
    """

    def __init__(  # noqa: PLR0913 - what a gang's address, secret and ranks are
        self,
        *,
        secret: str,
        host: str = "127.0.0.1",
        port: int = 0,
        advertised: str | None = None,
        collective: int | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._secret = secret
        self._patience = patience or Patience()
        self._collective = collective
        self._is_together = collective is None  # whether ranks may open fits
        self._listening = _listening(host, port)
        self.address = f"{advertised or host}:{self._listening.getsockname()[1]}"
        self.answers = 0  # parts that were answered in its life
        self.answers_of: Counter[int] = Counter()  # the same by the rank that answered
        self._job: messages.Open | None = None
        self._jobs = 0
        self._refusals: dict[int, str] = {}  # why ranks cannot open the fit
        self._hopeless: float | None = None  # since when none that is there can
        self._step: StepInHand | None = None
        self._connections: set[Connection] = set()
        self._alive: tuple[messages.Hello, ...] = ()
        self._seconds: deque[float] = deque(maxlen=assignment.REMEMBERED)
        self._wanted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wake, self._woken = socket.socketpair()
        self._woken.settimeout(0.0)
        self._selector = selectors.DefaultSelector()
        self._closing = False
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="gang", daemon=True)
        self._thread.start()

    # ---- what the driver asks for ------------------------------------------------------------

    def open(self, fit: FitJob) -> None:
        """Have all ranks compute this fit from now on, those that come later, too."""
        self._jobs += 1
        job = messages.Open(job=self._jobs, fit=fit)
        self._do(lambda: self._open(job))

    def compute(self, work: Work, meanwhile: Callable[[], None] | None = None) -> Sequence[Vector]:
        """The answers to all parts of a step, in the order of their numbers.

        Args:
            work: The step.
            meanwhile: Called now and then while it waits; what it raises ends the step.

        Raises:
            Diverged: A part says so.
            Failed: A part fails, whoever computes it.
        """
        step = StepInHand(work, job=self._jobs)
        self._do(lambda: self._begin(step))
        try:
            while not step.wait(_MEANWHILE):
                self._refuse_fault()
                if meanwhile is not None:
                    meanwhile()
        except BaseException:
            self._do(lambda: self._abandon(step))
            raise
        return step.result()

    def alive(self) -> int:
        """How many ranks are connected and say so."""
        return len(self._alive)

    def ranks(self) -> Sequence[messages.Hello]:
        """Those that are, by their numbers."""
        return self._alive

    def close(self) -> None:
        """Tell the ranks that the gang is over, and end all connections."""
        self._do(self._end)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _do(self, what: Callable[[], None]) -> None:
        self._wanted.put(what)
        with contextlib.suppress(OSError):  # the thread has ended; `compute` says why
            self._wake.send(b"\0")

    def _refuse_fault(self) -> None:
        if self._fault is not None:
            raise self._fault
        if not self._thread.is_alive():
            raise Failed("the gang was closed while it computed a step")

    # ---- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        with self._selector, self._listening, self._wake, self._woken:
            try:
                self._selector.register(self._listening, selectors.EVENT_READ, self._accept)
                self._selector.register(self._woken, selectors.EVENT_READ, self._take_wanted)
                while not self._closing:
                    self._round()
            except BaseException as error:  # noqa: BLE001 - who waits for a step raises it
                self._fault = error
            finally:
                self._end_connections()

    def _round(self) -> None:
        for key, events in self._selector.select(_ROUND):
            if isinstance(key.data, Connection):
                self._attend(key.data, events)
            else:
                key.data()
        self._give_up()
        self._judge_refusals()
        self._bring_together()
        self._hand_out()
        for connection in tuple(self._connections):
            self._flush(connection)
        members = self._members()
        self._alive = tuple(one.hello for one in members if one.hello and not self._is_quiet(one))

    def _take_wanted(self) -> None:
        self._woken.recv(4096)
        with contextlib.suppress(queue.Empty):
            while True:
                self._wanted.get_nowait()()

    def _accept(self) -> None:
        try:
            peer, (host, port, *_) = self._listening.accept()
            peer.settimeout(0.0)
            wire.prepare(peer)
        except OSError as error:  # it is gone again, or too many files are open
            _LOG.warning("gang: a connection could not be accepted: %s", error)
            return
        connection = Connection(peer, f"{host}:{port}", self._converse)
        self._connections.add(connection)
        self._selector.register(peer, selectors.EVENT_READ, connection)
        strangers = [one for one in self._connections if not one.is_proved]
        if len(strangers) > _STRANGERS:
            self._drop(min(strangers, key=lambda one: one.since), "too many prove nothing")

    def _attend(self, connection: Connection, events: int) -> None:
        if connection in self._connections and events & selectors.EVENT_READ:
            try:
                connection.receive()
            except (OSError, ValueError) as error:
                self._drop(connection, str(error))

    def _flush(self, connection: Connection) -> None:
        if connection not in self._connections:  # it ended with another of its gang
            return
        try:
            connection.flush()
        except OSError as error:
            self._drop(connection, str(error))
            return
        writing = selectors.EVENT_WRITE if connection.has_unsent else 0
        self._selector.modify(connection.peer, selectors.EVENT_READ | writing, connection)

    def _drop(self, connection: Connection, why: str) -> None:
        """End a connection; the part that its rank computed goes back."""
        if connection not in self._connections:
            return
        _LOG.info("gang: %s: %s", connection.name, why)
        self._connections.discard(connection)
        self._selector.unregister(connection.peer)
        connection.peer.close()
        if (computing := connection.computing) is not None:
            computing.step.lose(computing.number, connection.rank)
        if connection.hello is not None:
            self._end_together(connection)

    def _end_connections(self) -> None:
        for connection in self._connections:
            with contextlib.suppress(OSError):  # it is gone already
                if connection.hello is not None and self._fault is None:
                    connection.tell(messages.End())
                connection.flush()
            connection.peer.close()

    # ---- one connection ----------------------------------------------------------------------

    def _converse(self, connection: Connection) -> wire.Filling[None]:
        """What a connection says, from the first byte on."""
        challenge = wire.challenge()
        connection.send(memoryview(challenge))
        response = bytearray(wire.RESPONSE)
        yield memoryview(response)
        if not wire.proves_rank(self._secret, challenge, response):
            connection.send(memoryview(wire.REFUSAL))
            connection.flush()
            raise wire.Malformed("it does not know the gang's secret")
        connection.is_proved = True
        connection.send(memoryview(wire.confirmation(self._secret, challenge, response)))
        while True:
            head, body = yield from wire.reading(lambda: _most_answered(connection))
            self._hear(connection, messages.from_rank(head), body)

    def _hear(self, connection: Connection, message: messages.FromRank, body: bytearray) -> None:
        match message:
            case messages.Hello():
                self._welcome(connection, message)
            case messages.Opened(job=job):
                self._take_opened(connection, job)
            case messages.Answer():
                self._take_answer(connection, message, body)
            case messages.Raised():
                self._take_fault(connection, message)
            case messages.Alive():
                pass  # it was heard: that is all

    def _welcome(self, connection: Connection, hello: messages.Hello) -> None:
        for older in self._members():
            if older.rank == hello.rank and not self._is_quiet(older):
                connection.tell(messages.Refused(reason=f"{older.name} is connected already"))
                return
            if older.rank == hello.rank:
                self._drop(older, "it says nothing, and another has its number")
        connection.hello = hello
        connection.tell(messages.Welcome())
        if self._job is not None and self._is_together:
            self._have_open(connection, self._job)

    def _have_open(self, connection: Connection, job: messages.Open) -> None:
        connection.opening = time.monotonic()
        connection.tell(job)

    def _take_opened(self, connection: Connection, job: int) -> None:
        connection.opened = job
        if self._job is not None and self._job.job == job:
            connection.opening, connection.is_overdue = None, False
            self._refusals.pop(connection.rank, None)

    def _take_answer(
        self, connection: Connection, answer: messages.Answer, body: bytearray
    ) -> None:
        computing = _computed(connection, answer)
        self._seconds.append(time.monotonic() - computing.since)
        vector = wire.vector_of(body)
        self.answers_of[connection.rank] += 1
        if computing.step.take(computing.number, connection.rank, vector):
            self.answers += 1

    def _take_fault(self, connection: Connection, fault: messages.Raised) -> None:
        if fault.transient:
            raise ConnectionError(f"it gave up: {fault.reason}")
        if fault.number is not None:
            computing = _computed(connection, fault)
            _LOG.info("gang: %s: part %d: %s", connection.name, fault.number, fault.reason)
            computing.step.take_fault(computing.number, connection.rank, fault)
            if self._collective is not None:  # the others wait for its sums
                raise ConnectionError(f"it raised an exception: {fault.reason}")
        elif self._job is not None and self._job.job == fault.job:
            connection.opening = None
            self._refusals[connection.rank] = fault.reason

    # ---- ranks that find each other ----------------------------------------------------------

    def _bring_together(self) -> None:
        """Once all are there that are to find each other, say where they are."""
        members = self._members()
        if self._is_together or [one.rank for one in members] != [*range(self._collective or 0)]:
            return
        addresses = tuple(one.listens for one in members)
        for one in members:
            one.tell(messages.Peers(addresses=addresses))
            if self._job is not None:
                self._have_open(one, self._job)
        self._is_together = True

    def _end_together(self, lost: Connection) -> None:
        """Without one of those that have found each other, the others cannot go on."""
        if self._collective is None or not self._is_together:
            return
        self._is_together = False
        for one in self._members():
            self._drop(one, f"{lost.name} is gone, which it computed with")

    # ---- what is due -------------------------------------------------------------------------

    def _members(self) -> Sequence[Connection]:
        """The connections of ranks, by their numbers."""
        members = [one for one in self._connections if one.hello is not None]
        return sorted(members, key=lambda one: one.rank)

    def _is_quiet(self, connection: Connection) -> bool:
        return time.monotonic() - connection.heard > self._patience.quiet

    def _give_up(self) -> None:
        """End the connections of which nothing is to be expected any more."""
        now, patience = time.monotonic(), self._patience
        hung = assignment.hung_after(self._seconds, patience)
        for one in tuple(self._connections):
            if one.hello is None and now - one.since > patience.greeting:
                self._drop(one, f"it has not said who it is within {patience.greeting:g} s")
            elif now - one.heard > patience.silent:
                self._drop(one, f"it has said nothing for {patience.silent:g} s")
            elif self._is_stale(one.computing, before=now - hung):
                self._drop(one, f"it has computed what nobody needs for {hung:.0f} s")
            elif one.opening is not None and now - one.opening > patience.opening:
                one.is_overdue = True
                self._refusals[one.rank] = (
                    f"{one.name} has not opened the fit within {patience.opening:g} s"
                )

    def _judge_refusals(self) -> None:
        """Fail a step that no rank can open the fit of: a single one may have its own reason."""
        ranks = [one.rank for one in self._members()]
        if not ranks or not self._refusals.keys() >= {*ranks}:
            self._hopeless = None
            return
        self._hopeless = self._hopeless or time.monotonic()
        if self._step and time.monotonic() - self._hopeless > self._patience.refused:
            self._step.fail(Failed(self._refusals[ranks[0]]))

    def _is_stale(self, computing: Computing | None, *, before: float) -> bool:
        """Whether something has been computed since before that time, and nobody needs it."""
        if computing is None or computing.since > before:
            return False
        return computing.step is not self._step or computing.step.is_answered(computing.number)

    def _hand_out(self) -> None:
        """Give each idle rank a part, while there are any for it."""
        step = self._step
        if step is None or step.is_over:
            return
        members = self._members()
        quiet = {one.rank for one in members if self._is_quiet(one)}
        late = assignment.late_after(self._seconds, self._patience)
        now = time.monotonic()
        for one in members:
            if one.computing is None and one.opened == step.job and one.rank not in quiet:
                number = step.next_part(one.rank, now=now, quiet=quiet, late=late)
                if number is not None:
                    one.ask(step, number, now=now)

    # ---- what the driver asked for -----------------------------------------------------------

    def _open(self, job: messages.Open) -> None:
        self._job = job
        self._refusals, self._hopeless = {}, None
        self._seconds.clear()
        for one in self._members():
            if one.is_overdue:  # it still has to do with an earlier one: a new process has not
                self._drop(one, "it has not opened an earlier fit")
            elif self._is_together:
                self._have_open(one, job)

    def _begin(self, step: StepInHand) -> None:
        self._step = step

    def _abandon(self, step: StepInHand) -> None:
        step.fail(Failed("nobody waits for it any more"))

    def _end(self) -> None:
        self._closing = True


def _most_answered(connection: Connection) -> int:
    """Bytes of numbers that the rank may say now: it says some of the part that it computes."""
    computing = connection.computing
    if computing is None:
        return 0
    return _TIMES_STATE * computing.step.work.state.nbytes + _BESIDE_STATE


def _computed(connection: Connection, said: messages.Answer | messages.Raised) -> Computing:
    """What the rank has computed now; it is idle from then on.

    Raises:
        Malformed: It is not what it was asked for.
    """
    computing = connection.computing
    asked = computing and (computing.step.job, computing.step.work.step, computing.number)
    if computing is None or (said.job, said.step, said.number) != asked:
        raise wire.Malformed(f"it was asked for {asked}, not for {said}")
    connection.computing = None
    return computing


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=256)
    except OSError as error:
        raise Invalid(
            f"the driver of a gang cannot listen on {host}:{port}: {error.strerror or error}; "
            "choose another address or port"
        ) from error
