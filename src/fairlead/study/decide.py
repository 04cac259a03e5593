"""What a study and a run do next: rules over records, without clocks, databases or processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from fairlead.metrics import Metric
from fairlead.records import Result, Run, RunStage, Study, TrialRow

LOW_WATER = 500
"""Ready tasks below which a study without a lag puts in its next trials: workers should not run out
of short ones while these are drawn."""


@dataclass(frozen=True, kw_only=True)
class SearchState:
    """How far a study's search is."""

    size: int  # trials that are asked for
    lag: int | None  # None where trials need no history
    chunk: int  # trials put in at a time where trials need no history
    added: int  # trials 0 .. added - 1 are in the ledger
    complete: int  # trials 0 .. complete - 1 have results
    ready: int  # tasks
    running: int  # tasks
    reached: int | None = None  # the first trial as good as `search.until`, in trial order
    out_of_time: bool = False
    withdrawn: bool = False  # the ready tasks are withdrawn


@dataclass(frozen=True, kw_only=True)
class Add:
    """Put these trials into the ledger."""

    first: int
    last: int  # excluded


@dataclass(frozen=True, kw_only=True)
class Withdraw:
    """Let no ready task start any more."""


@dataclass(frozen=True, kw_only=True)
class Finish:
    """The study is its first `size` trials, and that is a fact from now on."""

    size: int


Step: TypeAlias = Add | Withdraw | Finish | None


def next_step(progress: SearchState) -> Step:
    """Finish, cut short, put in every trial whose history is complete, or wait (None)."""
    if progress.reached is not None:
        return Finish(size=progress.reached + 1)
    if progress.complete >= progress.size:
        return Finish(size=progress.size)
    return _cut_short(progress) if progress.out_of_time else _add(progress)


def _cut_short(progress: SearchState) -> Step:
    if not progress.withdrawn:
        return Withdraw()
    return Finish(size=progress.complete) if progress.running == 0 else None


def _add(progress: SearchState) -> Step:
    if progress.lag is not None:
        last = min(progress.size, progress.complete + progress.lag + 1)
    elif progress.ready < LOW_WATER:
        last = min(progress.size, progress.added + progress.chunk)
    else:
        return None
    return Add(first=progress.added, last=last) if last > progress.added else None


def reached(results: Iterable[Result], until: float | None, metric: Metric) -> int | None:
    """Number of the first trial that is as good as the spec asks for.

    Args:
        results: In trial order without gaps, so that the answer does not depend on who was first.
        until: The score asked for; None never stops a search.
        metric: Says which way is better.
    """
    if until is None:
        return None
    good = (
        result.number
        for result in results
        if result.score is not None and not metric.better(until, result.score)
    )
    return next(good, None)


def as_asked(study: Study, trials: Sequence[TrialRow], size: int, metric: Metric) -> Study:
    """The study as a run asks for it: its first trials, where the ledger's has more.

    A study of `size` trials is the beginning of a larger one, trial by trial, so it has ended where
    these have, and the best of it is the best of these.

    Args:
        study: As the ledger has it.
        trials: Of it, by number.
        size: How many trials are asked for.
        metric: Says which is the best.
    """
    if size >= study.size:
        return study
    results = [row.result for row in trials[:size]]
    if len(results) < size or None in results:
        return replace(study, size=size, state="searching", best=None, finished=None)
    best = metric.best([result.score if result else None for result in results])
    return replace(study, size=size, state="finished", best=best)


def next_stage(run: Run, study: Study, *, refitted: bool) -> RunStage | None:
    """The stage that a run is to be in by what the ledger has of it; None where all are done.

    Args:
        run: The run.
        study: Its study, as the run asks for it.
        refitted: Whether there is a candidate of the study's best trial.
    """
    if run.verdict is not None:
        return "deploy" if run.deploy else None
    if run.version is not None:
        return "judge"
    if study.state != "finished":
        return "search"
    return "register" if refitted else "refit"
