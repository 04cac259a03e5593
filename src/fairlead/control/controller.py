"""A controller: carries runs that nobody carries, each in a thread of its own.

Any number of controllers may be there: one holds a run at a time, under a lease, and another takes
it where that ends before the run does. Workers are those that are there anyway. It also begins
the runs of schedules that are due (scheduler.py).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from fairlead.control.deployments import wait
from fairlead.control.events import Event, Notice
from fairlead.control.runs import deploy_and_test, refuse_who_may_not_carry
from fairlead.control.scheduler import Scheduler
from fairlead.errors import STORE_IS_AWAY, Failed, FairleadError, Lost, described
from fairlead.records import Deployment, Route, Run
from fairlead.registry.mlflow import start_mirror
from fairlead.settings import Settings
from fairlead.spec.document import parse_canonical
from fairlead.stores import Stores, open_stores
from fairlead.study import run as runs
from fairlead.study.outcome import RunOutcome
from fairlead.study.progress import FitUnderWay, SearchProgress
from fairlead.study.stop import Stopped, StopRequest

_EVERY = 0.5
"""Seconds between two looks for runs that nobody carries."""
_AFTER_FAULT = 30.0
"""Seconds after which a run is carried again whose carrying ended by a fault of ours."""

_AFTER_OUTAGE = 5.0
"""The same where the ledger or the artefact store was away, or had no room."""

Note = Callable[[str], None]

_LOG = logging.getLogger("fairlead.controller")
"""For what the code is at fault for, with its traceback."""


@dataclass(kw_only=True)
class Controller:
    """Carries runs until it is asked to stop.

    Args:
        settings: Say where the stores are.
        most: Runs that it carries at once.
        workers: Local workers that it starts for each; 0 leaves the work to others.
        note: Called with a line for what happens; from any thread.
        token: For the servers that a deployment's smoke test asks.
    """

    settings: Settings
    most: int = 8
    workers: int = 0
    note: Note
    token: str | None = None
    _stops: dict[str, StopRequest] = field(default_factory=dict, init=False)
    _threads: dict[str, threading.Thread] = field(default_factory=dict, init=False)
    _not_before: dict[str, float] = field(default_factory=dict, init=False)
    _wake: threading.Event = field(default_factory=threading.Event, init=False)
    _last_faults: dict[str, str] = field(default_factory=dict, init=False)
    _stopping: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._scheduler = Scheduler(settings=self.settings, note=self.note)

    def run(self) -> None:
        """Carry what there is to carry; ends once it was asked to stop and has let go of all.

        Raises:
            Invalid: A server lets this program carry no run.
        """
        refuse_who_may_not_carry(self.settings)
        with open_stores(self.settings) as stores:
            while not self._stopping:
                self._look(stores)
                self._wake.wait(_EVERY)
            self._scheduler.join()
        for thread in self._threads.values():
            thread.join()

    def stop(self) -> None:
        """Let go of the runs: each keeps what is done, and another controller goes on with it.

        Called by a signal's handler; a second time ends local workers at once.
        """
        self._stopping += 1
        self._wake.set()
        self._scheduler.stop()
        for request in list(self._stops.values()):
            request.asked += 1

    def _look(self, stores: Stores) -> None:
        self._survive("looking for schedules", partial(self._scheduler.look, stores))
        self._survive("looking for runs", partial(self._take_up, stores))

    def _survive(self, what: str, look: Callable[[], None]) -> None:
        """Look; a fault is said, and must not end what is carried: the next look may go well."""
        try:
            look()
        except STORE_IS_AWAY as error:
            self.note(f"{error}; trying again")
        except Exception as error:  # noqa: BLE001 - a row that cannot be read, for one
            line = f"{what}: {described(error)}; trying again"
            if self._last_faults.get(what) != line:
                self._last_faults[what] = line
                self.note(line)
                _LOG.error("where that came from", exc_info=error)
        else:
            self._last_faults.pop(what, None)

    def _take_up(self, stores: Stores) -> None:
        self._forget_ended()
        if len(self._threads) >= self.most:
            return
        orphans = stores.ledger.runs.orphans()
        for run in orphans[: self.most - len(self._threads)]:
            if run.id not in self._threads and time.monotonic() > self._not_before.get(run.id, 0):
                self._start(run)

    def _forget_ended(self) -> None:
        for name in [name for name, one in self._threads.items() if not one.is_alive()]:
            self._threads.pop(name).join()
            self._stops.pop(name, None)

    def _start(self, run: Run) -> None:
        self._stops[run.id] = StopRequest()
        thread = threading.Thread(
            target=self._carry, args=(run, self._stops[run.id]), name=f"run {run.id}", daemon=True
        )
        self._threads[run.id] = thread
        thread.start()

    def _carry(self, run: Run, stop: StopRequest) -> None:
        say = partial(_say, self.note, run.id)
        say("taken up")
        pause = _AFTER_FAULT
        try:
            outcome = runs.resume(
                run.id,
                self.settings,
                _Lines(say),
                stop,
                workers=self.workers,
                deploy=partial(self._deploy, run, stop, say),
                alone=True,
            )
        except (Lost, *STORE_IS_AWAY) as error:
            say(f"{error}; let go of")
            pause = _AFTER_OUTAGE
        except Stopped:
            say("let go of")
        except FairleadError as error:
            say(str(error) if isinstance(error, Failed) else f"{error}; tried again later")
        except Exception as error:  # noqa: BLE001 - one run's fault must not end the others
            say(f"{described(error)}; tried again later")
            _LOG.error("where that came from", exc_info=error)
        else:
            say(f"done: {outcome.version.model} v{outcome.version.number}")
            return
        self._not_before[run.id] = time.monotonic() + pause

    def _deploy(self, run: Run, stop: StopRequest, say: Note, outcome: RunOutcome) -> None:
        start_mirror(self.settings)
        deploy_and_test(
            self.settings,
            outcome.version,
            parse_canonical(run.spec).serve,
            token=self.token,
            stop=stop,
            wait=_wait,
            on_event=partial(_report, say),
        )


class _Lines:
    """Says the stages of a run, each in a line; its progress is for who watches it."""

    def __init__(self, say: Note) -> None:
        self._say = say

    def stage(self, name: str) -> None:
        """Say it."""
        self._say(name)

    def downloaded(self, done: int, total: int | None) -> None:
        """Say nothing."""

    def searching(self, snapshot: SearchProgress) -> None:
        """Say nothing."""

    def fitting(self, fits: Sequence[FitUnderWay]) -> None:
        """Say nothing."""

    def note(self, line: str) -> None:
        """Say it."""
        self._say(line)


def _say(note: Note, run: str, text: str) -> None:
    note(f"run {run}: {text}")


def _report(say: Note, event: Event) -> None:
    if isinstance(event, Notice):
        say(event.text)


def _wait(stores: Stores, deployment: Deployment) -> Route:
    return wait(stores, deployment, on_look=lambda _: None)
