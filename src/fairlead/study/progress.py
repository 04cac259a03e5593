"""The progress of a run, as it is reported to whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fairlead.records import Counts, Study, Trial


@dataclass(frozen=True, kw_only=True)
class SearchProgress:
    """A study's search at one moment."""

    study: Study
    metric: str
    counts: Counts
    best: tuple[Trial, float] | None
    workers: int  # alive
    elapsed: float  # seconds since this run began to search
    before: int = 0  # trials that had ended by then
    paused: float = 0.0  # seconds of `elapsed` in which it was paused and had no task in hand


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

    def note(self, line: str) -> None:
        """Say nothing."""
