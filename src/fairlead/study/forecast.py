"""What a run would do, and how long it would take: nothing is written, and one fit is timed."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fairlead.data import split
from fairlead.data.summary import ColumnSummary, summaries
from fairlead.families.family import Task
from fairlead.families.imported import contained
from fairlead.formatting import count
from fairlead.records import Trial
from fairlead.search import share
from fairlead.settings import Settings
from fairlead.spec.document import Spec
from fairlead.study import plan as plans
from fairlead.study.plan import StudyPlan
from fairlead.training.fit import Fold, Recipe, prepared_folds

_MOST_GROUPED = 20_000
"""Trials that are grouped into tasks and counted; a larger search is taken in proportion."""
_LONGEST = 200
"""Characters that are shown of a library's message on a fit that failed."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a run would do."""

    name: str
    task: Task
    target: str
    method: str
    trials: int
    tasks: int
    folds: int
    fits: int
    fits_saved: int
    training_rows: int
    holdout_rows: int
    columns: int
    reading: tuple[ColumnSummary, ...]
    metric: str
    workers: int
    seconds_a_fit: float | None  # of the first task; None where it was not timed
    seconds: float | None  # of the whole search
    remarks: tuple[str, ...]  # what a person should know before it is run

    def in_words(self) -> list[tuple[str, str]]:
        """A name and a value for each line to show."""
        lines = [
            ("name", self.name),
            ("data", self._data()),
            ("task", f"{self.task} of {self.target!r}"),
            ("search", f"{self.method}: {self._trials()}"),
            ("score", f"{self.metric}, {count(self.folds, 'fold')}"),
            ("fits", f"{self.fits}, and {self.fits_saved} saved by sharing"),
            ("workers", str(self.workers)),
        ]
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
    plan = plans.make(spec, base=base, settings=settings)
    training, held = split.holdout(plan.table, spec.data.holdout, seed=spec.data.seed)
    groups = _groups(plan)
    looked_at = sum(len(group) for group in groups)
    scale = plan.search.size / looked_at
    slots, folds = workers or plans.slots(plan), spec.search.folds
    timed = _time_one(plan, groups[0]) if timing else _Timed()
    one = timed.seconds
    lengths = [_length(group, plan) for group in groups]
    return Forecast(
        name=spec.name,
        task=plan.task,
        target=plan.table.target_name,
        method=spec.search.method,
        trials=plan.search.size,
        tasks=round(len(groups) * scale),
        folds=folds,
        fits=round(len(groups) * folds * scale),
        fits_saved=round(share.fits_saved(groups, folds=folds) * scale),
        training_rows=len(training),
        holdout_rows=len(held),
        columns=len(plan.table.columns),
        reading=summaries(plan.table),
        metric=plan.metric.name,
        workers=slots,
        seconds_a_fit=one,
        seconds=None if one is None else one * folds * scale * sum(lengths) / lengths[0] / slots,
        remarks=(*plan.remarks, *timed.remarks),
    )


def _groups(plan: StudyPlan) -> Sequence[tuple[Trial, ...]]:
    lag = plan.search.lag
    count = min(plan.search.size, _MOST_GROUPED if lag is None else lag + 1)
    trials = [plan.search.suggest(number, ()) for number in range(count)]
    prune = plan.spec.search.prune is not None
    return share.tasks(trials, plan.families.__getitem__, prune=prune)


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


def _time_one(plan: StudyPlan, group: Sequence[Trial]) -> _Timed:
    """The group's longest fit on the first fold."""
    longest = max(group, key=lambda trial: _length([trial], plan))
    fold = _first_fold(plan)
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
        family.predict(fitted, fold.x_test)
        return time.monotonic() - started


def _first_fold(plan: StudyPlan) -> Fold:
    table, data = plan.table, plan.spec.data
    rows, _ = split.holdout(table, data.holdout, seed=data.seed)
    features, target = table.features.take(rows), table.target[rows]
    return next(prepared_folds(features, target, plan.spec, classes=table.classes is not None))


def _about(seconds: float) -> str:
    if seconds < 1:
        return "less than 1 s"
    if seconds < 90:  # noqa: PLR2004 - a minute and a half reads better in seconds
        return f"about {seconds:.0f} s"
    if seconds < 5400:  # noqa: PLR2004 - and an hour and a half in minutes
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"
