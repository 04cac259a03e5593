"""The part of a controller that begins what is due, as due.py says.

Any number of controllers look: one holds a due time, under a lease, while it reads the data. What
ends it, the run or the reason that there is none, is one transaction with the next due time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from fairlead.control import due
from fairlead.control.clients import ClientSettings
from fairlead.control.retraining import Retraining, champions_study, retrain
from fairlead.control.schedules import refuse_path, source_of
from fairlead.errors import STORE_IS_AWAY, Busy, FairleadError, Lost, Transient, described
from fairlead.ledger.interface import Ledger
from fairlead.machine import unique_name
from fairlead.records import Run, Schedule, ScheduleOutcome
from fairlead.settings import Settings
from fairlead.stores import Stores
from fairlead.study.lease import Lease
from fairlead.study.progress import Silent
from fairlead.study.stop import Stopped, StopRequest

_EVERY = 2.0
"""Seconds between two looks for schedules that are due."""
_MOST = 2
"""Runs that are being begun at once: each has its data in memory."""
_AFTER_FAULT = 30.0
"""Seconds after which a due time is tried again that could not be worked off for the ledger's
sake: the data is read anew each time."""


_LOG = logging.getLogger("fairlead.controller")


class _UnchangedError(Exception):
    """There is nothing to begin: the study of today's data has been searched and judged."""


@dataclass(kw_only=True)
class Scheduler:
    """Begins runs of schedules that are due, each in a thread of its own.

    Args:
        settings: Say where the stores are.
        note: Called with a line for what happens; from any thread.
    """

    settings: Settings
    note: Callable[[str], None]
    _name: str = field(default_factory=unique_name, init=False)
    _stop: StopRequest = field(default_factory=StopRequest, init=False)
    _threads: dict[str, threading.Thread] = field(default_factory=dict, init=False)
    _next: float = field(default=0.0, init=False)
    _not_before: dict[str, float] = field(default_factory=dict, init=False)

    def look(self, stores: Stores) -> None:
        """Begin what is due, if it is time to look; the stores stay open until `join`.

        Raises as the ledger does.
        """
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY
        self._threads = {name: one for name, one in self._threads.items() if one.is_alive()}
        ledger = stores.ledger
        schedules = ledger.schedules.all()
        now = ledger.now() if schedules else 0.0
        for schedule in schedules:
            if len(self._threads) < _MOST and schedule.model not in self._threads:
                try:
                    self._look_at(schedule, stores, now)
                except STORE_IS_AWAY:
                    raise
                except Exception as error:  # noqa: BLE001 - as in `_carry_out`
                    self._put_off(schedule, error)

    def stop(self) -> None:
        """Break off what is being begun; another controller begins it."""
        self._stop.asked += 1

    def join(self) -> None:
        """Wait until it is broken off."""
        for thread in self._threads.values():
            thread.join()

    def _look_at(self, schedule: Schedule, stores: Stores, now: float) -> None:
        ledger = stores.ledger
        later = self._not_before.get(schedule.model, 0.0)
        if not due.is_due(schedule, now) or time.monotonic() < later:
            return
        last = None if schedule.run is None else ledger.runs.get(schedule.run)
        step = due.next_step(schedule, last, now)
        if step is None or not ledger.schedules.take(
            schedule, self._name, lease=self.settings.lease
        ):
            return
        held = replace(schedule, holder=self._name)
        thread = threading.Thread(
            target=self._carry_out,
            args=(held, step, last, stores),
            name=f"schedule {schedule.model}",
            daemon=True,
        )
        self._threads[schedule.model] = thread
        thread.start()

    def _carry_out(
        self, schedule: Schedule, step: due.Step, last: Run | None, stores: Stores
    ) -> None:
        say = partial(_say, self.note, schedule.model)
        try:
            work = _Work(
                schedule=schedule, last=last, settings=self.settings, stores=stores, say=say
            )
            with work.lease():
                work.carry_out(step, self._stop)
        except Stopped:
            say("let go of")
        except Exception as error:  # noqa: BLE001 - one schedule's fault must not end the others
            self._put_off(schedule, error)

    def _put_off(self, schedule: Schedule, error: Exception) -> None:
        self._not_before[schedule.model] = time.monotonic() + _AFTER_FAULT
        _say(self.note, schedule.model, f"{described(error)}; tried again later")
        if not isinstance(error, FairleadError):
            _LOG.error("where that came from", exc_info=error)


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What is done for one due time."""

    schedule: Schedule
    last: Run | None
    settings: Settings
    stores: Stores
    say: Callable[[str], None]

    def lease(self) -> Lease:
        schedules, seconds = self.stores.ledger.schedules, self.settings.lease
        holder = self.schedule.holder or ""
        return Lease(
            partial(schedules.take, self.schedule, holder, lease=seconds),
            partial(schedules.release, self.schedule.model, holder),
            seconds=seconds,
        )

    def carry_out(self, step: due.Step, stop: StopRequest) -> None:
        """Raises as the ledger does; then nothing is written and the due time is not over."""
        match step:
            case due.Skip(reason=reason, due=following):
                self._note("skipped", reason, following)
            case due.Begin(due=following):
                self._begin(following, stop)

    def _begin(self, following: float, stop: StopRequest) -> None:
        schedule = self.schedule
        settings = self.settings if schedule.folder else ClientSettings.of(self.settings)
        asked = Retraining(
            model=schedule.model,
            source=schedule.source,
            base=Path(schedule.folder),
            deploy=schedule.deploy,
            priority=schedule.priority,
            apart=True,  # this process has others to begin and to carry
        )
        self.say("due: reading the data")
        open_run = partial(self._open_run, following=following)
        try:
            if not schedule.folder:
                refuse_path(source_of(self.stores, asked))
            run = retrain(asked, settings, Silent(), stop, open_run=open_run)
        except _UnchangedError as error:
            self._note("unchanged", str(error), following)
        except (Lost, Busy):
            raise
        except FairleadError as error:
            self._fail(str(error), passing=isinstance(error, Transient))
        except Exception as error:  # noqa: BLE001 - one schedule's fault must not end the others
            self._fail(described(error), passing=False)
        else:
            self.say(f"began run {run.id}")

    def _open_run(self, ledger: Ledger, run: Run, *, following: float) -> Run:
        champions = champions_study(self.stores, self.schedule.model)
        reason = due.unchanged(run.study, self.last, champions.id)
        if reason is not None:
            raise _UnchangedError(reason)
        return ledger.schedules.begin(self.schedule, run, due=following)

    def _fail(self, reason: str, *, passing: bool) -> None:
        again = due.after_fault(self.schedule, self.stores.ledger.now(), passing=passing)
        self._note("failed", reason, again)

    def _note(self, outcome: ScheduleOutcome, reason: str, following: float) -> None:
        self.stores.ledger.schedules.note(
            self.schedule, outcome=outcome, reason=reason, due=following
        )
        self.say(f"{outcome}: {reason}")


def _say(note: Callable[[str], None], model: str, text: str) -> None:
    note(f"schedule of {model}: {text}")
