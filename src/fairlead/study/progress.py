"""The progress of a run, as it is reported to whoever shows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fairlead.ledger.interface import Ledger
from fairlead.records import Counts, FitReport, Study, Trial

_TOLD = ("noted", "lost")
"""The kinds of lines of a history that are told while a run goes on."""
_NEWEST = 2**63 - 1
_LINES = 100
"""Of these at most at one look."""

FITS_EVERY = 2.0
"""Seconds between two looks at the fits that go on: each tells as often."""


@dataclass(frozen=True, kw_only=True)
class SearchProgress:
    """A study's search at one moment."""

    study: Study
    metric: str
    counts: Counts
    best: tuple[Trial, float] | None
    workers: int  # alive
    elapsed: float  # seconds since the run began
    before: int = 0  # trials that had ended when it was looked at first
    seen: float | None = None  # seconds since then; `elapsed` if None
    paused: float = 0.0  # seconds of these in which it was paused and had no task in hand


@dataclass(kw_only=True)
class PauseClock:
    """How long a search has been paused, as far as somebody has looked."""

    seconds: float = 0.0
    _since: float | None = None

    def look(self, elapsed: float, *, paused: bool) -> float:
        """Seconds that it was paused, given whether it is so now, and for how long it goes on."""
        if self._since is not None:
            self.seconds += elapsed - self._since
        self._since = elapsed if paused else None
        return self.seconds


@dataclass(frozen=True, kw_only=True)
class FitUnderWay:
    """A fit that goes on: what it told last, and for how many seconds it has told nothing since."""

    report: FitReport
    silent: float

    @property
    def checkpoint_age(self) -> float | None:
        """Seconds since its last checkpoint; None before the first."""
        if self.report.checkpointed is None:
            return None
        return self.report.at - self.report.checkpointed + self.silent


class ProgressListener(Protocol):
    """Called with what happens, in the order in which it does."""

    def stage(self, name: str) -> None:
        """A part of the way begins: 'reading the data', 'searching', 'refitting' ..."""
        ...

    def downloaded(self, done: int, total: int | None) -> None:
        """So many bytes of a download are here."""
        ...

    def searching(self, snapshot: SearchProgress) -> None:
        """The search goes on."""
        ...

    def fitting(self, fits: Sequence[FitUnderWay]) -> None:
        """These fits go on that are made in steps; none do any more where there are none."""
        ...

    def note(self, line: str) -> None:
        """Something to report in a line."""
        ...


class Silent:
    """Watches without a word."""

    def stage(self, name: str) -> None:
        """Say nothing."""

    def downloaded(self, done: int, total: int | None) -> None:
        """Say nothing."""

    def searching(self, snapshot: SearchProgress) -> None:
        """Say nothing."""

    def fitting(self, fits: Sequence[FitUnderWay]) -> None:
        """Say nothing."""

    def note(self, line: str) -> None:
        """Say nothing."""


class FitsSeen:
    """Tells a listener of the fits that go on, and once more where none does any longer.

    Args:
        listener: Who is told.
    """

    def __init__(self, listener: ProgressListener) -> None:
        self._listener = listener
        self._seen: dict[int, float] = {}  # ids of the last reports, and when each was seen first

    def tell(self, reports: Sequence[FitReport], now: float) -> None:
        """Tell of the fits that go on now.

        Args:
            reports: The last one of each.
            now: Monotonic seconds.
        """
        before = self._seen
        self._seen = {report.id: before.get(report.id, now) for report in reports}
        if self._seen or before:
            self._listener.fitting(
                [FitUnderWay(report=one, silent=now - self._seen[one.id]) for one in reports]
            )


class FitsWatch:
    """Tells a listener now and then how the fits of a study go that are made in steps.

    It also tells what attempts noted of them, and which attempts were lost.

    Args:
        ledger: Where they are told of.
        study: Id of the study.
        listener: Told of them.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        study: str,
        listener: ProgressListener,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._study = study
        self._listener = listener
        self._clock = clock
        self._due = clock()
        self._line = ledger.histories.last()
        self._seen = FitsSeen(listener)

    def look(self) -> None:
        """Tell of them, where it is time to look again."""
        now = self._clock()
        if now < self._due:
            return
        self._due = now + FITS_EVERY
        self._seen.tell(self._ledger.fits.running(self._study), now)
        self.tell_of_attempts()

    def tell_of_attempts(self) -> None:
        """Tell what attempts noted, and which were lost, since it was told last."""
        lines = self._ledger.histories.lines(
            after=self._line, upto=_NEWEST, limit=_LINES, study=self._study, kinds=_TOLD
        )
        for line in lines:
            self._line, event = line.id, line.event
            text = event.text if event.kind == "noted" else f"lost: {event.text}".removesuffix(": ")
            self._listener.note(f"task {event.task} attempt {event.attempt}: {text}")
