"""Showing a run while it goes on: a progress bar on a terminal, plain lines elsewhere.

All of it goes to stderr; results go to stdout.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from fairlead.cli.next_steps import program
from fairlead.cli.output import note
from fairlead.formatting import count
from fairlead.study.progress import ProgressListener, SearchProgress, Silent

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_EVERY = 10.0
"""Seconds between two plain lines."""
_PATIENCE = 60.0
"""Seconds after which a plain line says that nothing has changed."""


@contextmanager
def watching(*, quiet: bool) -> Iterator[ProgressListener]:
    """Whatever suits where stderr goes; ended at the end, whatever happens."""
    if quiet:
        yield Silent()
    elif not sys.stderr.isatty():
        yield Lines()
    else:
        with Bar() as bar:
            yield bar


class Lines:
    """Plain lines, one every few seconds."""

    def __init__(self) -> None:
        self._last = -math.inf
        self._done = -1

    def stage(self, name: str) -> None:
        """Say that a part of the way begins."""
        note(f"{name} ...")

    def downloaded(self, done: int, total: int | None) -> None:
        """Say how far a download is."""
        if self._due(_EVERY):
            note(f"downloaded {done:,} of {f'{total:,}' if total else 'unknown'} bytes")

    def searching(self, snapshot: SearchProgress) -> None:
        """Say how far the search is."""
        done = trials_done(snapshot)
        changed = done != self._done
        last = changed and done == snapshot.study.size
        if last or self._due(_EVERY if changed else _PATIENCE):
            self._done = done
            note(f"{done}/{snapshot.study.size} trials, {in_words(snapshot)}")

    def note(self, line: str) -> None:
        """Say it."""
        note(line)

    def _due(self, seconds: float) -> bool:
        now = time.monotonic()
        due = now - self._last >= seconds
        self._last = now if due else self._last
        return due


class Bar:
    """A rich progress bar."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        self._progress: Progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[words]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: TaskID = self._progress.add_task("starting", total=None, words="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def stage(self, name: str) -> None:
        """Name the part of the way."""
        self._progress.reset(self._task, total=None, description=name, words="")

    def downloaded(self, done: int, total: int | None) -> None:
        """Show how far a download is."""
        words = f"{done / 1e6:.1f} MB"
        self._progress.update(self._task, completed=done, total=total, words=words)

    def searching(self, snapshot: SearchProgress) -> None:
        """Show how far the search is."""
        done, size = trials_done(snapshot), snapshot.study.size
        self._progress.update(
            self._task,
            description=f"{done}/{size} trials",
            completed=done,
            total=size,
            words=in_words(snapshot),
        )

    def note(self, line: str) -> None:
        """Print it above the bar."""
        self._progress.console.print(line, highlight=False, markup=False)


def trials_done(snapshot: SearchProgress) -> int:
    """Trials that have ended, however they did."""
    counts = snapshot.counts
    return counts.done + counts.failed + counts.pruned


def in_words(snapshot: SearchProgress) -> str:
    """The best so far, what failed, the time gone and left and the workers alive, in a line."""
    parts = []
    if snapshot.best is not None:
        parts.append(f"best {snapshot.metric} {snapshot.best[1]:.6g}")
    if snapshot.counts.failed:
        parts.append(f"{snapshot.counts.failed} failed")
    left = seconds_left(snapshot)
    waits = _waits(snapshot)
    if waits is not None:
        parts.append(waits)
    elif left is None:
        parts.append("first task running" if snapshot.counts.running else "starting workers")
    parts.append(_clock(snapshot.elapsed))
    if waits is None and left is not None:
        parts.append(f"{_clock(left)} left")
    parts.append(count(snapshot.workers, "worker"))
    return ", ".join(parts)


def _waits(snapshot: SearchProgress) -> str | None:
    """What the search waits for, where nothing goes on: then nobody knows the time left."""
    if trials_done(snapshot) >= snapshot.study.size:
        return "all trials ended"
    if snapshot.counts.running:
        return None
    if snapshot.study.paused:
        return f"paused: `{program()} resume {snapshot.study.id}` goes on"
    return None if snapshot.workers else "waiting for workers"


def seconds_left(snapshot: SearchProgress) -> float | None:
    """What the rest takes if it goes on as it went; None while nothing has ended."""
    fresh = trials_done(snapshot) - snapshot.before
    worked = snapshot.elapsed - snapshot.paused
    if fresh < 1 or worked <= 0:
        return None
    return worked / fresh * (snapshot.study.size - trials_done(snapshot))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
