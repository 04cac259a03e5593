"""Showing a run while it goes on: progress bars on a terminal, plain lines elsewhere.

All of it goes to stderr; results go to stdout. A fit that is made in steps has a line of its own.
Whoever asks for JSON, and has no terminal, gets lines of JSON: an object each, with `event`.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from fairlead.cli.next_steps import program
from fairlead.cli.output import note
from fairlead.formatting import count
from fairlead.study.progress import FitUnderWay, ProgressListener, SearchProgress, Silent

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_EVERY = 10.0
"""Seconds between two plain lines."""
_PATIENCE = 60.0
"""Seconds after which a plain line says that nothing has changed."""


_MOST_FITS = 8
"""Fits that are shown at once."""
_SILENT = 15.0
"""Seconds after which it is said that a fit tells nothing."""


@contextmanager
def watching(*, quiet: bool, as_json: bool = False) -> Iterator[ProgressListener]:
    """Whatever suits where stderr goes; ended at the end, whatever happens."""
    if quiet:
        yield Silent()
    elif not sys.stderr.isatty():
        yield JsonLines() if as_json else Lines()
    else:
        with Bar() as bar:
            yield bar


class Lines:
    """Plain lines, one every few seconds."""

    def __init__(self) -> None:
        self._last = -math.inf
        self._last_fits = -math.inf
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

    def fitting(self, fits: Sequence[FitUnderWay]) -> None:
        """Say how each fit goes."""
        now = time.monotonic()
        if fits and now - self._last_fits >= _EVERY:
            self._last_fits = now
            for fit in fits[:_MOST_FITS]:
                note(f"{fit_name(fit)}: {fit_in_words(fit)}")
            if len(fits) > _MOST_FITS:
                note(f"and {count(len(fits) - _MOST_FITS, 'more fit')}")

    def note(self, line: str) -> None:
        """Say it."""
        note(line)

    def _due(self, seconds: float) -> bool:
        now = time.monotonic()
        due = now - self._last >= seconds
        self._last = now if due else self._last
        return due


class JsonLines(Lines):
    """The same as lines of JSON."""

    def stage(self, name: str) -> None:
        """Say that a part of the way begins."""
        _say("stage", name=name)

    def downloaded(self, done: int, total: int | None) -> None:
        """Say how far a download is."""
        if self._due(_EVERY):
            _say("downloaded", bytes=done, total=total)

    def searching(self, snapshot: SearchProgress) -> None:
        """Say how far the search is."""
        done = trials_done(snapshot)
        changed = done != self._done
        if changed or self._due(_PATIENCE):
            self._done = done
            _say(
                "searching",
                done=done,
                size=snapshot.study.size,
                failed=snapshot.counts.failed,
                best=None if snapshot.best is None else snapshot.best[1],
                metric=snapshot.metric,
                workers=snapshot.workers,
                elapsed=snapshot.elapsed,
            )

    def fitting(self, fits: Sequence[FitUnderWay]) -> None:
        """Say how each fit goes."""
        for fit in fits:
            told = {**vars(fit.report.progress), "attempt": fit.report.attempt}
            told["ranks"] = told.pop("workers")
            told |= {"checkpoint_age": fit.checkpoint_age, "silent": fit.silent}
            _say("fitting", **told)

    def note(self, line: str) -> None:
        """Say it."""
        _say("note", text=line)


def _say(event: str, **what: object) -> None:
    note(json.dumps({"event": event, **what}, ensure_ascii=False))


class Bar:
    """Rich progress bars: one of the run, and one of each fit that goes on."""

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
        self._fits: dict[str, TaskID] = {}

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

    def fitting(self, fits: Sequence[FitUnderWay]) -> None:
        """Show how each fit goes, below the bar of the run."""
        shown = {fit_name(fit): fit for fit in fits[:_MOST_FITS]}
        for name in self._fits.keys() - shown.keys():
            self._progress.remove_task(self._fits.pop(name))
        for name, fit in shown.items():
            if name not in self._fits:
                self._fits[name] = self._progress.add_task(name, words="")
            told = fit.report.progress
            self._progress.update(
                self._fits[name],
                completed=told.step + 1,
                total=told.steps,
                words=fit_in_words(fit),
            )

    def note(self, line: str) -> None:
        """Print it above the bar."""
        self._progress.console.print(line, highlight=False, markup=False)


def fit_name(fit: FitUnderWay) -> str:
    """Whose fit it is."""
    told = fit.report.progress
    if told.fold is None:
        return f"refit of trial {told.trial}"
    return f"trial {told.trial}, fold {told.fold}"


def fit_in_words(fit: FitUnderWay) -> str:
    """How far a fit is and how it goes, in a line."""
    told, age = fit.report.progress, fit.checkpoint_age
    parts = [f"epoch {told.epoch:.1f}", f"step {told.step + 1:,}/{told.steps:,}"]
    parts.append(f"loss {told.loss:.4g}")
    if told.accuracy is not None:
        parts.append(f"accuracy {told.accuracy:.3f}")
    parts += [f"{told.rows_per_second:,.0f} rows/s", count(told.workers, "rank")]
    parts.append("no checkpoint" if age is None else f"checkpoint {_clock(age)} ago")
    if fit.silent > _SILENT:
        parts.append(f"nothing heard for {_clock(fit.silent)}")
    return ", ".join(parts)


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
    seen = snapshot.elapsed if snapshot.seen is None else snapshot.seen
    worked = seen - snapshot.paused
    if fresh < 1 or worked <= 0:
        return None
    return worked / fresh * (snapshot.study.size - trials_done(snapshot))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
