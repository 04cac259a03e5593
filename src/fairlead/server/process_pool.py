"""The serving processes of one server: as many as there should be, each with the newest plan.

A process that dies or hangs is replaced at once, or after a pause where that was of no use before.
All of it happens in one thread, which nothing else holds up: neither a ledger that is away nor a
deployment. Only `apply` and `reports` are for other threads.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from fairlead.server.events import ServerEvent, ServerWarning
from fairlead.server.listening import BoundAddress
from fairlead.server.process import ServingProcess, start_process
from fairlead.serving.http.graceful_close import accept_new_connections
from fairlead.serving.plan import Admit, Alive, Drain, Page, Plan, Report, Scrape
from fairlead.serving.settings import ProcessSettings
from fairlead.serving.telemetry.counters import Aggregate, Counts

EARLY = 3.0
"""A process that ends within so many seconds of its start ended early."""
MAX_EARLY_EXITS = 5
"""So many early exits in a row, and the reason lies in the program or the machine."""
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 10.0
_PLAN_TIMEOUT = 30.0
"""Seconds after which a process that does not take a plan in is replaced: its loop hangs."""
_SILENCE_TIMEOUT = 15.0
"""Seconds after which one that has sent nothing is: it sends a message each second, except while it
reads a large document."""
_SUSPENDED = 2.0
"""Seconds of this program's own absence, stopped or asleep, after which the silence of processes
means nothing."""
_PATIENCE = 4.0
"""Seconds past their grace that processes have to end."""
_CRASHES = {
    -number
    for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
}
"""How a process ends by what runs in it, and not by somebody outside."""


def early_exits(before: int, *, lived: float) -> int:
    """How many early exits in a row there are, now that a process has ended.

    Args:
        before: How many there were until then.
        lived: Seconds that it lived.
    """
    return before + 1 if lived < EARLY else 0


def restart_delay(exits: int) -> float:
    """Seconds until the next is started; none after the first early exit, which may be chance."""
    return 0.0 if exits <= 1 else float(min(_FIRST_DELAY * 2 ** min(exits - 2, 10), _LONGEST_DELAY))


@dataclass(kw_only=True, eq=False)
class _Slot:
    """The place of one process of the pool, which it has or will have again."""

    listening: socket.socket | None = None
    process: ServingProcess | None = None
    early_exits: int = 0  # in a row
    start_at: float = 0.0  # when the next one is started

    @property
    def is_out(self) -> bool:
        """Whether nothing is expected of it for now."""
        return self.process is None and self.early_exits >= MAX_EARLY_EXITS

    def stop_listening(self) -> None:
        if self.listening is not None:
            self.listening.close()
            self.listening = None


class ProcessPool:
    """The serving processes.

    Args:
        address: Theirs.
        settings: What each is started with.
        count: How many there are to be.
        sums: What they count is added up there.
        on_event: Called with deaths.
        on_report: Called when `reports` has something new.
        clock: Seconds, monotonic.
    """

    def __init__(  # noqa: PLR0913 - two listeners, the sums, and a clock for tests
        self,
        address: BoundAddress,
        settings: ProcessSettings,
        *,
        count: int,
        sums: Aggregate,
        on_event: Callable[[ServerEvent], None],
        on_report: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address, self._settings, self._sums = address, settings, sums
        self._on_event, self._on_report, self._clock = on_event, on_report, clock
        self._slots = [_Slot() for _ in range(count)]
        self._plan: Plan | None = None
        self._ending = False
        self._reports: tuple[Report | None, ...] = (None,) * count
        self._selector = selectors.DefaultSelector()
        self._waker, self._wakes = socket.socketpair()
        self._wakes.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self._selector.register(self._wakes, selectors.EVENT_READ)
        self._polled_at = clock()
        self.crashes = 0
        """Processes that have ended by a fault of their own."""

    # ---- for other threads ------------------------------------------------------------------

    def apply(self, plan: Plan) -> None:
        """Have all processes follow this plan from now on."""
        self._plan = plan
        self._waker.send(b"!")

    def reports(self) -> Sequence[Report | None]:
        """How far each process is; None for one that has not reported yet.

        Those that cannot be started are not among them: no request reaches them.
        """
        return self._reports

    # ---- for the pool's own thread ----------------------------------------------------------

    def poll(self, timeout: float) -> None:
        """Read what processes send, waiting so long for it; start, replace and inform them."""
        self._watch_unsent()
        ready = self._selector.select(timeout)
        self._excuse_silence(timeout)
        channels = [key.fileobj for key, events in ready if events & selectors.EVENT_READ]
        reported = [self._receive_from(channel) for channel in channels]
        plan = self._plan
        for slot in self._slots:
            self._maintain(slot, plan)
            self._send_tokens(slot)
        self._send_page()
        self._update_reports(reported=any(reported))

    def set_tokens(self, tokens: tuple[str, ...]) -> None:
        """Have all processes accept these tokens, from now on.

        Args:
            tokens: SHA-256 of them; empty: every request from this machine is accepted.
        """
        self._settings = replace(self._settings, tokens=tokens)

    def drain(self, grace: float, *, hurry: Callable[[], bool]) -> None:
        """Have all of them finish the requests in hand and end.

        Args:
            grace: Seconds that they may take.
            hurry: Whether to wait no longer.
        """
        self._ending = True
        until = self._clock() + grace + _PATIENCE
        for slot in self._slots:
            slot.stop_listening()
        for process in self._processes():
            process.send(Drain(seconds=grace))
        while any(self._processes()) and self._clock() < until and not hurry():
            self.poll(0.05)

    def close(self) -> None:
        """End whatever is left, at once."""
        for slot in self._slots:
            slot.stop_listening()
        for process in self._processes():
            process.kill()
            process.close()
        self._selector.close()
        self._waker.close()
        self._wakes.close()

    # ---- one process ------------------------------------------------------------------------

    def _maintain(self, slot: _Slot, plan: Plan | None) -> None:
        process = slot.process
        if process is None:
            if not self._ending and self._clock() >= slot.start_at:
                self._start(slot)
            return
        if process.status is not None:
            self._reap(slot, process)
            return
        process.flush()
        if self._hangs(process):
            self._warn(f"serving process {process.child.pid} hangs and is replaced")
            process.kill()
        elif plan is not None:
            self._send_plan(process, plan)

    def _start(self, slot: _Slot) -> None:
        try:
            slot.listening = slot.listening or self._address.listen()
            accept_new_connections(slot.listening)  # the process before may have drained
            slot.process = start_process(self._settings, slot.listening, now=self._clock())
        except OSError as error:
            slot.early_exits += 1
            self._schedule_restart(slot, f"starting a serving process: {error}")
            return
        self._selector.register(slot.process.channel, selectors.EVENT_READ, slot.process)
        if self._plan is not None:
            self._send_plan(slot.process, self._plan)

    def _reap(self, slot: _Slot, process: ServingProcess) -> None:
        self._receive(process)
        self._selector.unregister(process.channel)
        process.close()
        slot.process = None
        self._sums.forget(process.child.pid)
        if self._ending:
            return
        self.crashes += process.child.returncode in _CRASHES
        lived = self._clock() - process.started_at
        slot.early_exits = early_exits(slot.early_exits, lived=lived)
        self._schedule_restart(slot, f"serving process {process.child.pid} {process.end}")

    def _schedule_restart(self, slot: _Slot, reason: str) -> None:
        """Replace it at once, or later where that has been of no use."""
        exits = slot.early_exits
        slot.start_at = self._clock() + restart_delay(exits)
        if exits < MAX_EARLY_EXITS:
            self._warn(f"{reason}; it is replaced")
            return
        # Its connections would wait long: from now on the others get them.
        slot.stop_listening()
        if exits == MAX_EARLY_EXITS:
            self._warn(f"{reason}, {exits} in a row; from now on restarted less often")

    def _warn(self, text: str) -> None:
        self._on_event(ServerWarning(text=text))

    def _send_plan(self, process: ServingProcess, plan: Plan) -> None:
        if process.plan is not plan:
            process.plan, process.plan_at = plan, self._clock()
            process.send(plan)

    def _send_tokens(self, slot: _Slot) -> None:
        process, tokens = slot.process, self._settings.tokens
        if process is not None and process.tokens != tokens:
            process.tokens = tokens
            process.send(Admit(tokens=tokens))

    def _hangs(self, process: ServingProcess) -> bool:
        """A process takes in a plan at once, however long it takes to load what it says."""
        now = self._clock()
        if process.received_at is not None and now - process.received_at > _SILENCE_TIMEOUT:
            return True
        if process.plan is None:
            return False
        taken_in = process.report is not None and process.report.serial >= process.plan.serial
        return not taken_in and now - process.plan_at > _PLAN_TIMEOUT

    # ---- all of them ------------------------------------------------------------------------

    def _processes(self) -> Iterator[ServingProcess]:
        return (slot.process for slot in self._slots if slot.process is not None)

    def _watch_unsent(self) -> None:
        """Wake up also when a process can take more, where there is more for it."""
        for process in self._processes():
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if process.has_unsent else 0)
            if self._selector.get_key(process.channel).events != events:
                self._selector.modify(process.channel, events, process)

    def _excuse_silence(self, timeout: float) -> None:
        """After an absence of this program, what processes sent meanwhile is still to be read."""
        now, before = self._clock(), self._polled_at
        self._polled_at = now
        if now - before < timeout + _SUSPENDED:
            return
        for process in self._processes():
            process.plan_at = now
            if process.received_at is not None:
                process.received_at = now

    def _receive_from(self, channel: object) -> bool:
        if channel is self._wakes:
            with contextlib.suppress(BlockingIOError):
                self._wakes.recv(4096)
            return False
        process = next(one for one in self._processes() if one.channel is channel)
        process.received_at = self._clock()
        return self._receive(process)

    def _receive(self, process: ServingProcess) -> bool:
        """Take in its messages; whether there was a report."""
        messages = process.receive()
        for message in messages:
            match message:
                case Report():
                    process.report = message
                case Counts():
                    self._sums.add(process.child.pid, message)
                case Alive(at=at):
                    self._sums.alive(process.child.pid, at)
                case Scrape(number=number):
                    process.scrape = number
        return any(isinstance(message, Report) for message in messages)

    def _send_page(self) -> None:
        """Answer requests for the Prometheus page: it is written once for all.

        A process that has not taken the last one in waits: no more than one is in memory for each.
        """
        asking = [one for one in self._processes() if one.scrape and not one.has_unsent]
        if not asking:
            return
        from fairlead.serving.telemetry.prometheus import page

        text = page(self._sums)
        for process in asking:
            process.send(Page(number=process.scrape, text=text))
            process.scrape = 0

    def _update_reports(self, *, reported: bool) -> None:
        slots = [slot for slot in self._slots if not slot.is_out]
        self._reports = tuple(slot.process.report if slot.process else None for slot in slots)
        if reported:
            self._on_report()
