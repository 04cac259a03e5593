"""What a run would do, and how long it would take: nothing is written, and one fit is timed."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fairlead.data import split
from fairlead.data.features import taken
from fairlead.data.summary import ColumnSummary, of_target, summaries
from fairlead.errors import FairleadError
from fairlead.families import catalog
from fairlead.families.family import Task
from fairlead.families.user_code import contained
from fairlead.formatting import count
from fairlead.records import Study, Trial
from fairlead.search import share
from fairlead.settings import Settings
from fairlead.spec.document import Spec
from fairlead.study import decide
from fairlead.study import plan as plans
from fairlead.study.check import check_apart
from fairlead.study.plan import StudyPlan
from fairlead.training.fit import Fold, Recipe, predicted, prepared_folds

_MOST_GROUPED = 20_000
"""Trials that are grouped into tasks and counted; a larger search is taken in proportion."""
_LONGEST = 200
"""Characters that are shown of a library's message on a fit that failed."""


@dataclass(frozen=True, kw_only=True)
class KnownStudy:
    """A study that the ledger has of what is planned.

    Args:
        id: Its id.
        finished: Whether a run finds nothing to search.
        done: Trials of those asked for that have ended.
        size: Trials that are asked for; of a finished study, those that it has.
    """

    id: str
    finished: bool
    done: int
    size: int

    def in_words(self) -> str:
        """How far it is."""
        if self.finished:
            return f"{self.id} is finished: {count(self.size, 'trial')}; a run shows it"
        are = "is" if self.done == 1 else "are"
        return f"{self.id} goes on: {self.done:,} of {count(self.size, 'trial')} {are} done"


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a run would do."""

    name: str
    task: Task
    target: str
    target_values: str
    method: str
    trials: int
    tasks: int
    folds: int
    learns: bool  # whether trials follow from results, so that those that repeat are not known
    fits: int
    fits_saved: int
    training_rows: int
    holdout_rows: int
    columns: int
    reading: tuple[ColumnSummary, ...]
    metric: str
    workers: int
    shared: str | None  # how processes share each fit; None where one computes it
    seconds_a_fit: float | None  # of the first task; None where it was not timed
    seconds: float | None  # of the whole search
    study: KnownStudy | None  # that a run would go on with; None where it would be a new one
    remarks: tuple[str, ...]  # what a person should know before it is run

    def in_words(self) -> list[tuple[str, str]]:
        """A name and a value for each line to show."""
        lines = [
            ("name", self.name),
            ("data", self._data()),
            ("task", f"{self.task} of {self.target!r} ({self.target_values})"),
            ("search", f"{self.method}: {self._trials()}"),
            ("score", f"{self.metric}, {count(self.folds, 'fold')}"),
            ("fits", self._fits()),
            ("workers", str(self.workers)),
        ]
        if self.shared is not None:
            lines.append(("each fit", self.shared))
        if self.study is not None:
            lines.append(("study", self.study.in_words()))
        if self.seconds is not None and self.seconds_a_fit is not None:
            lines.append(("estimate", self._estimate(self.seconds, self.seconds_a_fit)))
        return lines

    def _data(self) -> str:
        rows = f"{count(self.training_rows, 'row')} to train on, {self.holdout_rows} held out"
        width = sum(column.columns for column in self.reading)
        encoded = f", {width} when encoded" if width != self.columns else ""
        return f"{rows}; {count(self.columns, 'column')}{encoded}"

    def _trials(self) -> str:
        return f"{count(self.trials, 'trial')} in {count(self.tasks, 'task')}"

    def _fits(self) -> str:
        most = "at most " if self.learns else ""
        return f"{most}{self.fits:,}, and {self.fits_saved:,} saved by sharing"

    def _estimate(self, seconds: float, one: float) -> str:
        search = f"search {_about(seconds)}, from one fit of {one:.2g} s"
        return f"{search}; starting the workers, the refit and the gate come on top"


def forecast(
    spec: Spec, *, base: Path, settings: Settings, workers: int | None, timing: bool
) -> Forecast:
    """Say what a run of this spec would do.

    Args:
        spec: The user's.
        base: Folder that its relative paths start from.
        settings: The installation's.
        workers: As for a run.
        timing: Whether to fit one task on one fold for the estimate.

    Raises:
        Invalid: The spec or the data cannot be used.
    """
    plan = plans.make(
        spec,
        base=base,
        settings=settings,
        check=lambda plan: check_apart(plan, settings, elsewhere=True),
        elsewhere=True,
    )
    absent = [name for name, family in plan.families.items() if catalog.is_elsewhere(family)]
    training, held = split.holdout(plan.table, spec.data.holdout, seed=spec.data.seed)
    groups = _groups(plan)
    extent = _extent(plan, groups)
    slots, folds = workers or plans.slots(plan), spec.search.folds
    known, remarks = _unknown(absent) if absent else _known(plan, settings)
    searched = known is not None and known.finished
    memory = settings.memory_for_data
    times = timing and not searched and groups[0][0].family not in absent
    timed = _time_one(plan, groups[0], memory) if times else _Timed()
    one = timed.seconds
    fits = extent.tasks * folds
    left = 1.0 if known is None else 1 - known.done / known.size
    return Forecast(
        name=spec.name,
        task=plan.task,
        target=plan.table.target_name,
        target_values=of_target(plan.table),
        method=spec.search.method,
        trials=plan.search.size,
        tasks=extent.tasks,
        folds=folds,
        learns=extent.learns,
        fits=fits,
        fits_saved=plan.search.size * folds - fits,
        training_rows=len(training),
        holdout_rows=len(held),
        columns=len(plan.table.columns),
        reading=summaries(plan.table),
        metric=plan.metric.name,
        workers=slots,
        shared=plan.spec.train.in_words() if plan.spec.train else None,
        seconds_a_fit=one,
        seconds=None if one is None else one * folds * extent.longest * left / slots,
        study=known,
        remarks=(*plan.remarks, *remarks, *timed.remarks),
    )


def _unknown(absent: Sequence[str]) -> tuple[None, Sequence[str]]:
    """What is to be said of families whose library is not on this machine."""
    return None, [
        f"family {name!r} is neither checked nor timed here, and whether this study was run before "
        "is not known: TensorFlow is not installed (pip install 'fairlead[keras]')"
        for name in absent
    ]


def _known(plan: StudyPlan, settings: Settings) -> tuple[KnownStudy | None, Sequence[str]]:
    """The study that a run would go on with, and what is to be said where that is not known."""
    try:
        study = plans.known(plan, settings)
        rows = [] if study is None else plans.trials_of(study, settings)
    except FairleadError as error:
        return None, [f"whether this study was run before is not known: {error}"]
    if study is None:
        return None, ()
    asked = decide.as_asked(study, rows, plan.search.size, plan.metric)
    finished = asked.state == "finished" and not _is_to_grow(plan, asked)
    size = asked.size if finished else plan.search.size
    done = sum(row.result is not None for row in rows[:size])
    return KnownStudy(id=study.id, finished=finished, done=done, size=size), ()


def _is_to_grow(plan: StudyPlan, study: Study) -> bool:
    """Whether more trials are asked for than a finished study has.

    One that `time` or `until` ended has fewer than were asked for, and stays as it is.
    """
    search = plan.spec.search
    return plan.search.size > study.size and search.time is None and search.until is None


def _groups(plan: StudyPlan) -> Sequence[tuple[Trial, ...]]:
    """Trials by the fits that they share, as a run puts them in: a chunk of them at a time.

    Of a search that learns, these are those that need no result.
    """
    search = plan.search
    many = min(search.size, _MOST_GROUPED if search.lag is None else search.lag + 1)
    chunk = search.chunk if search.lag is None else many
    prune = plan.spec.search.prune is not None
    groups: list[tuple[Trial, ...]] = []
    for first in range(0, many, chunk):
        trials = [search.suggest(number, ()) for number in range(first, min(many, first + chunk))]
        groups.extend(share.tasks(trials, plan.families.__getitem__, prune=prune))
    return groups


@dataclass(frozen=True, kw_only=True)
class _Extent:
    """How much there is to fit."""

    tasks: int
    longest: float  # fits on one fold, in those of the longest trial of the first task
    learns: bool


def _extent(plan: StudyPlan, groups: Sequence[tuple[Trial, ...]]) -> _Extent:
    """All tasks of a search, from those that are known.

    A search that learns puts its later trials in one by one, as results come: each is taken for a
    task of its own. Of any other, what is too much to look at is like what was looked at.
    """
    lengths = [_length(group, plan) for group in groups]
    looked_at = sum(len(group) for group in groups)
    more = plan.search.size - looked_at
    if plan.search.lag is None:
        scale = plan.search.size / looked_at
        tasks, length = round(len(groups) * scale), scale * sum(lengths)
    else:
        each = statistics.fmean(_length([trial], plan) for group in groups for trial in group)
        tasks, length = len(groups) + more, sum(lengths) + more * each
    return _Extent(
        tasks=tasks, longest=length / lengths[0], learns=more > 0 and plan.search.lag is not None
    )


def _length(group: Sequence[Trial], plan: StudyPlan) -> int:
    """How far the group's fit goes along the family's stage; 1 where it has none."""
    stage = plan.families[group[0].family].stage(group[0].params)
    if stage is None:
        return 1
    lengths = [trial.params[stage] for trial in group]
    return max(length for length in lengths if isinstance(length, int))


@dataclass(frozen=True, kw_only=True)
class _Timed:
    """What came of timing a fit."""

    seconds: float | None = None  # that it took; None where it failed, or was not tried
    remarks: tuple[str, ...] = ()


def _time_one(plan: StudyPlan, group: Sequence[Trial], memory: int) -> _Timed:
    """The group's longest fit on the first fold."""
    longest = max(group, key=lambda trial: _length([trial], plan))
    fold = _first_fold(plan, memory)
    try:
        return _Timed(seconds=_seconds(plan, longest, fold))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a model raises fails its trial alone
        return _Timed(remarks=(_unfitted(longest, error),))


def _unfitted(trial: Trial, error: BaseException) -> str:
    lines = (line.strip() for line in str(error).splitlines())
    message = next(filter(None, lines), "")[:_LONGEST]
    why = f"{type(error).__name__}: {message}".removesuffix(": ")
    return (
        f"no estimate: fitting trial {trial.number} ({trial.family}) to time it failed, "
        f"as it would in a run, which goes on with the other trials: {why}"
    )


def _seconds(plan: StudyPlan, trial: Trial, fold: Fold) -> float:
    classes = plan.table.classes
    recipe = Recipe(
        classes=None if classes is None else len(classes),
        metric=plan.metric,
        seed=plan.spec.seed,
        threads=plan.spec.search.threads,
    )
    family = plan.families[trial.family]
    with contained(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a run keeps them in its workers' logs
        started = time.monotonic()
        fitted = recipe.fit(trial.params, family, fold.x_train, fold.y_train)
        predicted(family, fitted, fold.x_test)
        return time.monotonic() - started


def _first_fold(plan: StudyPlan, memory: int) -> Fold:
    table, data = plan.table, plan.spec.data
    rows, _ = split.holdout(table, data.holdout, seed=data.seed)
    features, target = taken(table.features, rows, memory=memory), table.target[rows]
    return next(prepared_folds(features, target, plan.spec, classes=table.classes is not None))


def _about(seconds: float) -> str:
    if seconds < 1:
        return "less than 1 s"
    if seconds < 90:  # noqa: PLR2004 - a minute and a half reads better in seconds
        return f"about {seconds:.0f} s"
    if seconds < 5400:  # noqa: PLR2004 - and an hour and a half in minutes
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"
