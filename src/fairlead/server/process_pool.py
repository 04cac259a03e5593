"""The serving processes of one server.

Belongs here: having as many as there should be, telling all of them the plan, and hearing how far
they are and what they count. Does not: what the plan is (desired_state.py), one process
(process.py), adding up (serving/telemetry/aggregate.py).

All of it happens in one thread, which nothing else holds up: neither a ledger that is away nor a
deployment. Only `follow` and `reports` are for others.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fairlead.server.events import ServerEvent, ServerWarning
from fairlead.server.listening import BoundAddress
from fairlead.server.process import ServingProcess, start_process
from fairlead.serving.http.graceful_close import let_in
from fairlead.serving.plan import Admit, Alive, Drain, Page, Plan, Report, Scrape
from fairlead.serving.start import ProcessSettings
from fairlead.serving.telemetry.aggregate import Aggregate
from fairlead.serving.telemetry.counters import Counts

_SILENT = 30.0
"""Seconds after which a process that does not take a plan in is replaced: its loop hangs."""
_HUNG = 15.0
"""Seconds after which one that has said nothing is: it says that it lives each second, save while
it reads a large document."""
_ABSENT = 2.0
"""Seconds of our own absence, stopped or asleep, after which the silence of others says nothing."""
_PATIENCE = 4.0
"""Seconds past their grace that processes have to end."""
_CRASHES = {
    -number
    for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
}
"""How a process ends by what runs in it, and not by somebody outside."""


@dataclass(kw_only=True, eq=False)
class _Place:
    """Where one process of the crew is, or will be again."""

    listening: socket.socket | None = None
    process: ServingProcess | None = None
    young: int = 0  # deaths in a row
    due: float = 0.0  # when the next one is started
    told: float = 0.0  # when it was told the last plan

    @property
    def out(self) -> bool:
        """Whether nothing is expected of it for now."""
        return self.process is None and self.young >= MAX_EARLY_EXITS


class ProcessPool:
    """The serving processes.

    Args:
        address: Theirs.
        settings: What each is started with.
        count: How many there are to be.
        sums: What they count is added up there.
        told: Told of deaths.
        changed: Called when `reports` tells something new.
        clock: Seconds, rising.
    """

    def __init__(  # noqa: PLR0913 - two listeners, the sums, and a clock for tests
        self,
        address: BoundAddress,
        settings: ProcessSettings,
        *,
        count: int,
        sums: Aggregate,
        told: Callable[[ServerEvent], None],
        changed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address, self._settings = address, settings
        self._sums, self._told, self._changed, self._clock = sums, told, changed, clock
        self._places = [_Place() for _ in range(count)]
        self._plan: Plan | None = None
        self._ending = False
        self._lock = threading.Lock()
        self._reports: tuple[Report | None, ...] = (None,) * count
        self._selector = selectors.DefaultSelector()
        self._bell, self._rung = socket.socketpair()
        self._rung.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self._selector.register(self._rung, selectors.EVENT_READ)
        self._looked = clock()
        self.crashes = 0
        """Processes that have ended by a fault of their own."""

    # ---- for other threads ------------------------------------------------------------------

    def follow(self, plan: Plan) -> None:
        """Have all processes follow this plan from now on."""
        with self._lock:
            self._plan = plan
        self._bell.send(b"!")

    def reports(self) -> Sequence[Report | None]:
        """How far each process is; None for one that has not said yet.

        Those that cannot be started are not among them: nobody's request reaches them.
        """
        return self._reports

    # ---- for the thread of the crew ---------------------------------------------------------

    def tend(self, seconds: float) -> None:
        """See to the processes, waiting so long for news of them."""
        for place in self._places:
            self._look_out(place)
        ready = self._selector.select(seconds)
        self._excuse(seconds)
        heard = [self._hear(key.fileobj) for key, how in ready if how & selectors.EVENT_READ]
        plan = self._newest()
        for place in self._places:
            self._see_to(place, plan)
            self._admit(place)
        self._tell_page()
        self._tell_reports(news=any(heard))

    def admit(self, tokens: tuple[str, ...]) -> None:
        """Have all processes let in who has one of these tokens, from now on.

        Args:
            tokens: SHA-256 of them; empty: everybody on this machine is let in.
        """
        self._settings = replace(self._settings, tokens=tokens)

    def end(self, seconds: float, *, hurry: Callable[[], bool]) -> None:
        """Have all of them finish what is in hand and end.

        Args:
            seconds: That they may take.
            hurry: Whether to wait no longer.
        """
        self._ending = True
        until = self._clock() + seconds + _PATIENCE
        for place in self._places:
            _stop_listening(place)
            if place.process is not None:
                place.process.tell(Drain(seconds=seconds))
        while self._alive() and self._clock() < until and not hurry():
            self.tend(0.05)

    def close(self) -> None:
        """End whatever is left, at once."""
        for place in self._places:
            _stop_listening(place)
            if place.process is not None:
                place.process.kill()
                place.process.close()
        self._selector.close()
        self._bell.close()
        self._rung.close()

    # ---- one process ------------------------------------------------------------------------

    def _excuse(self, seconds: float) -> None:
        """Who was not listened to was not silent: what they said meanwhile is still to be read."""
        now, before = self._clock(), self._looked
        self._looked = now
        if now - before < seconds + _ABSENT:
            return
        for place in self._places:
            place.told = now
            if place.process is not None and place.process.heard is not None:
                place.process.heard = now

    def _see_to(self, place: _Place, plan: Plan | None) -> None:
        process = place.process
        if process is None:
            if not self._ending and self._clock() >= place.due:
                self._start(place)
            return
        if process.status is not None:
            self._bury(place, process)
            return
        process.send()
        if self._is_silent(place, process):
            self._told(
                ServerWarning(text=f"serving process {process.child.pid} hangs and is replaced")
            )
            process.kill()
        elif plan is not None:
            self._tell(place, process, plan)

    def _start(self, place: _Place) -> None:
        try:
            place.listening = place.listening or self._address.opened()
            let_in(place.listening)  # who ended there before may have turned them away
            place.process = start_process(self._settings, place.listening, now=self._clock())
        except OSError as error:
            self._fail(place, f"starting a serving process: {error}")
            return
        self._selector.register(place.process.channel, selectors.EVENT_READ, place.process)
        if self._plan is not None:
            self._tell(place, place.process, self._plan)

    def _bury(self, place: _Place, process: ServingProcess) -> None:
        self._take_in(process)
        self._selector.unregister(process.channel)
        process.close()
        place.process = None
        self._sums.forget(process.child.pid)
        if self._ending:
            return
        self._count_crash(process)
        place.young = early_exits(place.young, lived=self._clock() - process.began)
        self._await_next(place, f"serving process {process.child.pid} {process.end}")

    def _fail(self, place: _Place, said: str) -> None:
        place.young += 1
        self._await_next(place, said)

    def _await_next(self, place: _Place, said: str) -> None:
        """Replace it at once, or later where that has been of no use."""
        pause = restart_delay(place.young)
        place.due = self._clock() + pause
        if place.young < MAX_EARLY_EXITS:
            self._told(ServerWarning(text=f"{said}; it is replaced"))
            return
        # What waits for it would wait long: let the others have what comes from now on.
        _stop_listening(place)
        if place.young == MAX_EARLY_EXITS:
            self._told(
                ServerWarning(text=f"{said}, {place.young} in a row; from now on tried more rarely")
            )

    def _count_crash(self, process: ServingProcess) -> None:
        if process.child.returncode in _CRASHES:
            self.crashes += 1

    def _tell(self, place: _Place, process: ServingProcess, plan: Plan) -> None:
        if process.plan is not plan:
            process.plan = plan
            place.told = self._clock()
            process.tell(plan)

    def _look_out(self, place: _Place) -> None:
        """Wake up when it can take in more, too, where there is more for it."""
        process = place.process
        if process is None:
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if process.is_behind else 0)
        if self._selector.get_key(process.channel).events != events:
            self._selector.modify(process.channel, events, process)

    def _admit(self, place: _Place) -> None:
        process, tokens = place.process, self._settings.tokens
        if process is not None and process.tokens != tokens:
            process.tokens = tokens
            process.tell(Admit(tokens=tokens))

    def _is_silent(self, place: _Place, process: ServingProcess) -> bool:
        """A process takes in a plan at once, however long it takes to load what it says."""
        if process.heard is not None and self._clock() - process.heard > _HUNG:
            return True
        if process.plan is None:
            return False
        taken_in = process.report is not None and process.report.serial >= process.plan.serial
        return not taken_in and self._clock() - place.told > _SILENT

    # ---- all of them ------------------------------------------------------------------------

    def _hear(self, source: object) -> bool:
        if source is self._rung:
            with contextlib.suppress(BlockingIOError):
                self._rung.recv(4096)
            return False
        found = (place.process for place in self._places if place.process)
        process = next(one for one in found if one.channel is source)
        process.heard = self._clock()
        return self._take_in(process)

    def _take_in(self, process: ServingProcess) -> bool:
        """Take in what it says; whether that was a report."""
        messages = process.hear()
        for message in messages:
            match message:
                case Report():
                    process.report = message
                case Counts():
                    self._sums.add(process.child.pid, message)
                case Alive(at=at):
                    self._sums.alive(process.child.pid, at)
                case Scrape(number=number):
                    process.asked = number
        return any(isinstance(message, Report) for message in messages)

    def _newest(self) -> Plan | None:
        with self._lock:
            return self._plan

    def _tell_page(self) -> None:
        """Answer those who have asked for the page for Prometheus: it is written once for all.

        Whoever has not taken the last one in waits, so no more than one is in memory for each.
        """
        found = (place.process for place in self._places if place.process)
        asking = [one for one in found if one.asked and not one.is_behind]
        if not asking:
            return
        from fairlead.serving.telemetry.prometheus import page

        text = page(self._sums)
        for process in asking:
            process.tell(Page(number=process.asked, text=text))
            process.asked = 0

    def _alive(self) -> bool:
        return any(place.process is not None for place in self._places)

    def _tell_reports(self, *, news: bool) -> None:
        found = [place for place in self._places if not place.out]
        self._reports = tuple(place.process.report if place.process else None for place in found)
        if news:
            self._changed()


def _stop_listening(place: _Place) -> None:
    if place.listening is not None:
        place.listening.close()
        place.listening = None


EARLY = 3.0
"""A process that ends within so many seconds of its start died young."""
MAX_EARLY_EXITS = 5
"""So many young deaths in a row, and the reason lies in the program or the machine."""
_FIRST, _LONGEST = 0.1, 10.0


def early_exits(before: int, *, lived: float) -> int:
    """How many have died young in a row, now that another has died.

    Args:
        before: How many had until then.
        lived: Seconds that this one did.
    """
    return before + 1 if lived < EARLY else 0


def restart_delay(young: int) -> float:
    """Seconds until the next is started; none for the first, which may be anybody's accident."""
    return 0.0 if young <= 1 else float(min(_FIRST * 2 ** min(young - 2, 10), _LONGEST))
