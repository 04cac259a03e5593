"""Runs that outlive whoever asked for them: submitted, watched, paused, changed and cancelled."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fairlead.control.halts import Halt, HaltWatch, halts
from fairlead.errors import Conflict, Invalid, NextStep, NotFound
from fairlead.formatting import did_you_mean
from fairlead.ledger.interface import Ledger
from fairlead.ledger.wanted import asked
from fairlead.records import Result, Run, Study, Trial
from fairlead.settings import Settings
from fairlead.spec.document import Spec, canonical, parse_canonical
from fairlead.spec.load import Loaded
from fairlead.stores import Stores
from fairlead.study import run as runs
from fairlead.study.ended import outcome_of, refuse_unfinished
from fairlead.study.outcome import RunOutcome, metric_of, study_row
from fairlead.study.progress import FitsWatch, PauseClock, ProgressListener, SearchProgress
from fairlead.study.run import RunRequest
from fairlead.study.stop import StopRequest

_EVERY = 0.5
"""Seconds between two looks at a run that is watched."""
_PAGE = 100
"""Runs that are looked through at a time."""
_SHOWN = 5
"""Runs that a refusal lists."""


def submit(  # noqa: PLR0913 - what, how, and who follows it
    loaded: Loaded,
    settings: Settings,
    *,
    fresh: bool,
    deploy: bool,
    priority: int | None,
    watch: ProgressListener,
    stop: StopRequest | None = None,
) -> Run:
    """Put a spec, its data and its code into the stores, for a controller to carry.

    Args:
        loaded: The spec.
        settings: The installation's.
        fresh: Search again even where this study is finished.
        deploy: Whether the version is to be deployed where it becomes the champion.
        priority: Of its tasks; as it is if None.
        watch: Called with what happens.
        stop: Heeded at once.

    Raises:
        Invalid: The spec or the data cannot be used; nothing was written.
        Stopped: It was asked to stop.
    """
    request = RunRequest(spec=loaded.spec, base=loaded.base, fresh=fresh)
    with loaded.located():
        return runs.submit(request, settings, watch, stop, deploy=deploy, priority=priority)


def find(ledger: Ledger, words: str, *, to_change: bool = False) -> Run:
    """The run with this id, or the last with this name, or of the study with this (begin of an) id.

    The name of a run is that of its own spec: a study may be searched under several.

    Args:
        ledger: Where to look.
        words: What it is called.
        to_change: Whether it is to be changed. Then one that goes on is meant rather than a later
            one that has ended.

    Raises:
        NotFound: There is none.
        Invalid: It is to be changed, and several go on that may be meant.
    """
    try:
        return ledger.runs.get(words)
    except NotFound:
        found = _called(_newest_first(ledger), words)
    first = next(found, None)
    if first is None:
        first, *others = _of_study(ledger, words)
        found = iter(others)
    if not to_change:
        return first
    going_on = [run for run in (first, *found) if run.state == "running"]
    if len(going_on) > 1:
        ids = ", ".join(run.id for run in going_on[:_SHOWN])
        raise Invalid(
            f"{words!r} may be one of {len(going_on)} runs that go on: give the id of one: {ids}"
            f"{', ...' if len(going_on) > _SHOWN else ''}",
            code="several_runs",
            next_steps=[NextStep(action="runs", effect="lists them")],
        )
    return going_on[0] if going_on else first


def name_of(run: Run, study: Study) -> str:
    """What a run is called: the name in its spec; its study's where that cannot be read."""
    return _name(run) or study.name


def _name(run: Run) -> str | None:
    try:
        name = json.loads(run.spec)["name"]
    except (ValueError, KeyError, TypeError):
        return None
    return name if isinstance(name, str) else None


def _called(runs: Iterator[Run], name: str) -> Iterator[Run]:
    quoted = json.dumps(name, ensure_ascii=False)  # most specs need not be read
    return (run for run in runs if quoted in run.spec and _name(run) == name)


def _newest_first(ledger: Ledger) -> Iterator[Run]:
    after = None
    while page := ledger.runs.page(after=after, limit=_PAGE):
        yield from page
        after = page[-1].id


def _of_study(ledger: Ledger, words: str) -> Sequence[Run]:
    """The runs of the study with this id, or beginning of an id; at least one."""
    try:
        study = ledger.studies.get(words)
    except NotFound:
        raise _none(ledger, words) from None
    found = ledger.runs.all(study.id)
    if not found:
        raise NotFound(f"study {study.id!r} has no run: it was searched by another command")
    if not study.id.startswith(words):  # it is its name, and its runs have others
        raise _none(ledger, words)
    return found


def _none(ledger: Ledger, words: str) -> NotFound:
    runs = ledger.runs.all()
    known = [run.id for run in runs] + [name for run in runs if (name := _name(run))]
    return NotFound(
        f"no run has the id or the name {words!r}, and no study that id"
        f"{did_you_mean(words, known)}",
        next_steps=[NextStep(action="runs", effect="lists them")],
    )


def cancel(ledger: Ledger, run: Run, reason: str) -> Run:
    """End a run; one that has ended stays what it is.

    Raises:
        Conflict: It has ended in another way.
    """
    ended = ledger.runs.cancel(run.id, reason)
    if ended.state != "cancelled":
        raise Conflict(f"run {run.id!r} is {ended.state} by now: there is nothing to cancel")
    return ended


def pause(ledger: Ledger, run: Run, *, by: str = "") -> Run:
    """Let the ready tasks of a run wait. Raises Conflict where it has ended."""
    _refuse_ended(run, "pause")
    ledger.studies.pause(run.study, by=by)
    return run


def resume(ledger: Ledger, run: Run, *, by: str = "") -> Run:
    """Let the tasks of a run be taken again. Raises Conflict where it has ended."""
    _refuse_ended(run, "resume")
    ledger.studies.resume(run.study, by=by)
    return run


def adjust(
    ledger: Ledger, run: Run, *, trials: int | None, priority: int | None, by: str = ""
) -> Run:
    """Change how many trials a run has, and how urgent it is.

    Another number of trials is another run of the same study: it goes on with all that is there,
    and the one that it replaces is cancelled.

    Returns:
        The run that goes on.

    Raises:
        Conflict: The run has ended.
        Invalid: There is nothing to change, or the search cannot have so many trials.
    """
    if trials is None and priority is None:
        raise Invalid("there is nothing to change: give a number of trials, or a priority")
    _refuse_ended(run, "change")
    if priority is not None:
        ledger.studies.prioritize(run.study, priority, by=by)
    if trials is None:
        return run
    spec = parse_canonical(run.spec)
    if spec.search.method == "grid":
        raise Invalid(
            "search.trials: a grid has as many trials as it has combinations; submit a spec "
            "with more values, or another search.method"
        )
    changed = _with_trials(spec, trials)
    ledger.studies.open(replace(ledger.studies.get(run.study), size=trials))
    following = ledger.runs.open(replace(run, id="", spec=canonical(changed), holder=None))
    if following.id != run.id:
        who = f" (by {by})" if by else ""
        ledger.runs.cancel(run.id, f"run {following.id} goes on with {trials} trials{who}")
    return following


def _with_trials(spec: Spec, trials: int) -> Spec:
    return spec.model_copy(update={"search": spec.search.model_copy(update={"trials": trials})})


def _refuse_ended(run: Run, what: str) -> None:
    if run.state != "running":
        raise Conflict(
            f"run {run.id!r} is {run.state}: there is nothing to {what}; submit its spec again"
        )


def beside(ledger: Ledger, run: Run) -> Sequence[Run]:
    """Other runs that go on with the same study, and so with the same tasks."""
    same = ledger.runs.all(run.study)
    return [other for other in same if other.id != run.id and other.state == "running"]


# ---- watching -------------------------------------------------------------------------------


def watch(
    stores: Stores,
    run: Run,
    listener: ProgressListener,
    stop: StopRequest,
    *,
    on_halt: Callable[[Halt], None] = lambda _halt: None,
) -> RunOutcome:
    """Follow a run, whoever carries it, until it has ended.

    Args:
        stores: Where it is.
        run: Which.
        listener: Called as by the process that carries it.
        stop: Heeded at once; the run goes on.
        on_halt: Called once with each thing that the run lacks to go on.

    Raises:
        Failed: The run failed, or was cancelled.
        Stopped: It was asked to stop.
    """
    view, fits = _View(stores.ledger, run), FitsWatch(stores.ledger, run.study, listener)
    halted = HaltWatch(on_halt)
    with stop.at_once("the run goes on"):
        while not view.has_ended():
            view.show(listener)
            fits.look()
            halted.look(view.halts(), time.monotonic())
            time.sleep(_EVERY)
        fits.tell_of_attempts()
    refuse_unfinished(view.run)
    return outcome_of(view.run, stores.ledger, stores.artifacts)


class _View:
    """A run as it is seen from afar."""

    def __init__(self, ledger: Ledger, run: Run) -> None:
        self.run = run
        self._ledger = ledger
        self._study = ledger.studies.get(run.study)
        self._metric = metric_of(self._study)
        self._stage = ""
        self._mark = 0
        self._best: tuple[Trial, float] | None = None
        self._pauses = PauseClock()
        counts = ledger.studies.counts(run.study)
        self._before = counts.done + counts.failed + counts.pruned
        self._looked = time.monotonic()
        self._began = self._looked - max(0.0, ledger.now() - run.began)

    def has_ended(self) -> bool:
        """Whether it has; looks."""
        self.run = self._ledger.runs.get(self.run.id)
        return self.run.state != "running"

    def show(self, listener: ProgressListener) -> None:
        """Report what is new."""
        self._study = self._ledger.studies.get(self.run.study)
        stage = self._in_words()
        if stage != self._stage:
            self._stage = stage
            listener.stage(stage)
        if self.run.stage == "search":
            listener.searching(self._progress())

    def halts(self) -> Sequence[Halt]:
        """What the run lacks to go on."""
        return halts(
            self._ledger, self.run, self._study, self._ledger.studies.counts(self._study.id)
        )

    def _in_words(self) -> str:
        if self._study.paused:
            return "paused"
        if self.run.holder is None and self.run.stage != "search":
            return f"waiting for a controller to {self.run.stage}"
        return "searching" if self.run.stage == "search" else f"stage {self.run.stage}"

    def _progress(self) -> SearchProgress:
        results, self._mark = self._ledger.studies.results(self._study.id, after=self._mark)
        for result in results:
            self._weigh(result)
        running = [one for one in self._ledger.tasks.running() if one.study == self._study.id]
        now = time.monotonic()
        seen = now - self._looked
        return SearchProgress(
            study=self._study,
            metric=self._metric.name,
            counts=self._ledger.studies.counts(self._study.id),
            best=self._best,
            workers=len({one.worker for one in running}),
            elapsed=now - self._began,
            before=self._before,
            seen=seen,
            paused=self._pauses.look(seen, paused=self._study.paused and not running),
        )

    def _weigh(self, result: Result) -> None:
        if result.score is None:
            return
        if self._best is None or self._metric.better(result.score, self._best[1]):
            row = self._ledger.studies.trials(self._study.id)[result.number]
            self._best = (row.trial, result.score)


# ---- looking --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """A run, and how far it is."""

    run: Run
    study: str  # the name in its spec
    size: int  # trials that it wants: its study may have more
    ended: int  # of these
    paused: bool  # whether the tasks of its study wait
    priority: int = 0

    @property
    def state(self) -> str:
        """The state of the run; "paused" while it goes on and its tasks wait."""
        return "paused" if self.paused and self.run.state == "running" else self.run.state


def overview(
    ledger: Ledger, *, after: str | None = None, limit: int | None = None
) -> Sequence[RunRow]:
    """The runs, the newest first: all, or so many after the one with this id."""
    runs = ledger.runs.all() if limit is None else ledger.runs.page(after=after, limit=limit)
    studies = {name: ledger.studies.get(name) for name in dict.fromkeys(run.study for run in runs)}
    return [_row(ledger, run, studies[run.study]) for run in runs]


def row(ledger: Ledger, run: Run) -> RunRow:
    """A run, and how far it is."""
    return _row(ledger, run, ledger.studies.get(run.study))


def study_summary(ledger: Ledger, study: Study) -> dict[str, Any]:
    """A study as one row; the same as `fairlead studies` prints, at a cost that does not grow."""
    if study.state == "finished":
        best = ledger.studies.result(study.id, study.best) if study.best is not None else None
    else:
        highest = metric_of(study).greater_is_better
        best = ledger.studies.leading(study.id, highest=highest)
    return study_row(study, ledger.studies.counts(study.id), best)


def _row(ledger: Ledger, run: Run, study: Study) -> RunRow:
    size = min(study.size, asked(run.spec) or study.size)
    return RunRow(
        run=run,
        study=name_of(run, study),
        size=size,
        ended=_ended(ledger, run, study, size),
        paused=study.paused,
        priority=study.priority,
    )


def _ended(ledger: Ledger, run: Run, study: Study, size: int) -> int:
    """How many of the run's first trials have ended; counted only where nothing else tells."""
    if size < study.size:
        return size if run.state == "done" else ledger.studies.ended(study.id, below=size)
    counts = ledger.studies.counts(study.id)
    return counts.done + counts.failed + counts.pruned
