"""The fits of a task as its driver makes them.

A family whose fit is a series of steps is trained by these: alone, or with the processes of a gang,
to the same bits. While it goes on it is told of, and now and then a checkpoint is kept, from which
another attempt goes on where this one is lost. Where trials are pruned, the first fold is scored at
the end of each epoch. Other families are fitted afresh.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from fairlead.artifacts import Artifacts
from fairlead.errors import Corrupt
from fairlead.families.family import (
    Array,
    Family,
    Fitted,
    Matrix,
    PartedRows,
    Partitioned,
    Stepwise,
)
from fairlead.gang import checkpoint as checkpoints
from fairlead.gang.checkpoint import Checkpoint, FitPlace
from fairlead.gang.network import Network, StepResult
from fairlead.gang.steps import Alone, steps
from fairlead.gang.work import FitJob, Gang
from fairlead.records import Digest, FitProgress, Params, Trial
from fairlead.spec.document import Train
from fairlead.training.fit import Fold, Judged, Recipe, Stopped, given_to, judge, predicted
from fairlead.training.learning_curve import LearningCurve
from fairlead.training.prepare import Preparation

REPORT = 2.0
"""Seconds between two reports of a fit, at least."""
CHECKPOINT = 30.0
"""Seconds between two checkpoints, where the spec has no `train`."""

OpenGang: TypeAlias = Callable[[FitJob], Gang]
FitOnSpark: TypeAlias = Callable[[FitJob, Preparation, Callable[[PartedRows], Fitted]], Fitted]
"""Gives a fit its rows as executors of Spark have them, prepared so, and its model back."""


def _untold(_: FitProgress) -> None:
    """Nobody wants to know."""


def _unnoted(_: str) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, kw_only=True)
class FitChannel:
    """What the attempt at a task has to do with the outside while it fits.

    Args:
        report: Told how far it is.
        note: Told in a line what a person should know of it.
        checkpoint: The artefact that an earlier attempt left.
    """

    report: Callable[[FitProgress], None] = _untold
    note: Callable[[str], None] = _unnoted
    checkpoint: Digest | None = None


@dataclass(frozen=True, kw_only=True)
class TaskSetting:
    """What the fits of a study's tasks have in common.

    Args:
        study: Id of the study.
        recipe: How fits are made.
        train: How steps are shared; None where they are not.
        job: Describes the fit of a trial on a fold for other processes.
        gang: Opens the processes that compute; None where this process computes alone.
        spark: Fits by a library of Spark's; None where this process fits alone.
        artifacts: Where checkpoints go.
        by_epoch: Whether trials are scored at the end of each epoch, and pruned by it.
        kept: For each fold, and None for all rows, what families know of its rows by now.
    """

    study: str
    recipe: Recipe
    train: Train | None
    job: Callable[[Trial, int | None], FitJob]
    gang: OpenGang | None
    spark: FitOnSpark | None
    artifacts: Artifacts
    by_epoch: bool = False
    kept: dict[int | None, dict[Any, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """What a fit is made of.

    Args:
        x: Prepared features.
        y: Targets.
        preparation: Made these features of the table's.
        fold: Whose training rows they are; None for all of the study's.
    """

    x: Matrix
    y: Array
    preparation: Preparation
    fold: int | None


class TaskFits:
    """The fits of one task, a fold after another.

    Args:
        setting: What the study's tasks have in common.
        channel: What this attempt is told by, and what it goes on from.
    """

    def __init__(self, setting: TaskSetting, channel: FitChannel) -> None:
        self._setting = setting
        self._channel = channel
        self._left = _left(channel, setting)
        self._trials: tuple[Trial, ...] = ()
        self._folds: list[tuple[Judged, ...]] = []
        self._curve: LearningCurve | None = None

    @property
    def curve(self) -> tuple[float, ...]:
        """The scores of the trial at the ends of the epochs of its first fold."""
        return () if self._curve is None else self._curve.scores

    def begin(self, trials: Sequence[Trial]) -> None:
        """The folds of these trials, which share their fits, come next."""
        self._trials, self._folds = tuple(trials), []
        judged = self._setting.by_epoch and len(trials) == 1
        self._curve = LearningCurve(trials[0], self._setting.recipe.metric) if judged else None

    def known(self, fold: int) -> tuple[Judged, ...] | None:
        """What a fold came to in the attempt before, where its checkpoint has it."""
        left = self._left
        if left is None or fold != len(self._folds) or fold >= len(left.judged):
            return None
        if left.place != self._place(left.place.fold):
            return None
        self._take_up(left)
        self._folds.append(left.judged[fold])
        return left.judged[fold]

    def judged(self, values: Sequence[Judged]) -> None:
        """What the fold in hand came to, for each trial."""
        self._folds.append(tuple(values))

    def fit(
        self, params: Params, family: Family, fold: Fold, stages: Sequence[int]
    ) -> Fitted | Stopped:
        """Fit these parameters on the fold that comes next."""
        number = len(self._folds)
        judged_on = fold if self._curve is not None and number == 0 else None
        rows = _Rows(x=fold.x_train, y=fold.y_train, preparation=fold.preparation, fold=number)
        return self._fit(params, family, rows, stages, judged_on=judged_on)

    def refit(
        self, trial: Trial, family: Family, rows: tuple[Matrix, Array], preparation: Preparation
    ) -> Fitted:
        """Fit a trial's parameters on all training rows.

        Args:
            trial: Whose parameters.
            family: What to fit.
            rows: Prepared features, and targets.
            preparation: Made these of the table's.
        """
        self.begin([trial])
        x, y = rows
        all_rows = _Rows(x=x, y=y, preparation=preparation, fold=None)
        fitted = self._fit(trial.params, family, all_rows, ())
        assert not isinstance(fitted, Stopped), "what is judged on nothing is not stopped"
        return fitted

    def _fit(
        self,
        params: Params,
        family: Family,
        rows: _Rows,
        stages: Sequence[int],
        *,
        judged_on: Fold | None = None,
    ) -> Fitted | Stopped:
        recipe, train = self._setting.recipe, self._setting.train
        if train is not None and isinstance(family, Partitioned):
            return self._fit_parted(params, family, rows, train)
        if not isinstance(family, Stepwise):
            return recipe.fit(params, family, rows.x, rows.y)
        estimator, fold = recipe.build(params, family), rows.fold
        given = given_to(family, params, rows.x)
        network = family.network(
            estimator, given, rows.y, classes=recipe.classes, train=train, stages=stages
        )
        self._resume(network, fold)
        gang = self._gang(network, params, fold)
        telling = _Telling(self._trials[0].number, fold, gang, self._channel.report)
        keep = _Keeping(CHECKPOINT if train is None else train.checkpoint)
        for result in steps(network, gang):
            reason = judged_on and self._judge_epoch(result, family, network, judged_on)
            if reason:
                return Stopped(reason=reason)
            digest = self._keep(network, fold) if keep.is_due() else None
            telling.step(result, digest)
        return family.fitted(network)

    def _judge_epoch(
        self, result: StepResult, family: Family, network: Network, fold: Fold
    ) -> str | None:
        """Why the trial is pruned after this step, if it is the end of an epoch."""
        assert isinstance(family, Stepwise), "only these have epochs"
        if self._curve is None or not self._curve.is_due(result):
            return None
        # A copy of the rows: an estimator may write into what it is given.
        found = predicted(family, family.fitted(network), fold.x_test.copy())
        return self._curve.add(result, judge(found, fold, self._setting.recipe))

    def _fit_parted(self, params: Params, family: Family, rows: _Rows, train: Train) -> Fitted:
        assert isinstance(family, Partitioned)
        recipe, spark = self._setting.recipe, self._setting.spark
        estimator, x = recipe.build(params, family), given_to(family, params, rows.x)
        kept = self._setting.kept.setdefault(rows.fold, {})

        def fit(parted: PartedRows | None) -> Fitted:
            return family.fit_parted(
                estimator,
                x,
                rows.y,
                classes=recipe.classes,
                train=train,
                rows=parted,
                kept=kept,
            )

        if spark is None:
            return fit(None)
        return spark(self._job(params, rows.fold), rows.preparation, fit)

    def _gang(self, network: Network, params: Params, fold: int | None) -> Gang:
        if self._setting.gang is None:
            return Alone(computation=network)
        return self._setting.gang(self._job(params, fold))

    def _job(self, params: Params, fold: int | None) -> FitJob:
        longest = replace(self._trials[0], params=params)
        return self._setting.job(longest, fold)

    def _resume(self, network: Network, fold: int | None) -> None:
        left, self._left = self._left, None
        if left is None or left.place != self._place(fold):
            return
        try:
            network.restore(left.arrays)
        except Corrupt as error:
            self._channel.note(f"{error}; the fit starts anew")
        else:
            self._take_up(left)
            work = network.next()
            self._channel.note(
                f"the fit goes on at step {work.step}" if work else "the fit was over"
            )

    def _take_up(self, left: Checkpoint) -> None:
        if self._curve is not None:
            self._curve.scores = left.curve

    def _keep(self, network: Network, fold: int | None) -> Digest:
        kept = Checkpoint(
            place=self._place(fold),
            judged=tuple(self._folds),
            curve=self.curve,
            arrays=network.checkpoint(),
        )
        return self._setting.artifacts.put(checkpoints.dump(kept)).digest

    def _place(self, fold: int | None) -> FitPlace:
        numbers = tuple(trial.number for trial in self._trials)
        return FitPlace(study=self._setting.study, trials=numbers, fold=fold)


def _left(channel: FitChannel, setting: TaskSetting) -> Checkpoint | None:
    """The checkpoint of an earlier attempt, as far as it can be used."""
    if channel.checkpoint is None:
        return None
    try:
        left = checkpoints.load(setting.artifacts.get(channel.checkpoint))
    except Corrupt as error:
        channel.note(f"{error}; the fit starts anew")
        return None
    if left.place.study != setting.study:
        channel.note("the checkpoint is of another study; the fit starts anew")
        return None
    return left


class _Keeping:
    """When a checkpoint is due."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last: float | None = None  # of the first step: processes may take long to start

    def is_due(self) -> bool:
        now = time.monotonic()
        self._last = self._last or now
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True


class _Telling:
    """Reports of a fit: no more than one in a while, and one with each checkpoint."""

    def __init__(
        self, trial: int, fold: int | None, gang: Gang, report: Callable[[FitProgress], None]
    ) -> None:
        self._trial, self._fold, self._gang, self._report = trial, fold, gang, report
        self._last: float | None = None  # of the first step: processes may take long to start
        self._rows = 0

    def step(self, result: StepResult, checkpoint: Digest | None) -> None:
        """A step was taken, and maybe a checkpoint was kept after it."""
        now = time.monotonic()
        if self._last is None:
            self._last = now
        else:
            self._rows += result.rows
        is_last = result.step + 1 == result.steps
        if checkpoint is None and not is_last and now - self._last < REPORT:
            return
        rate = self._rows / max(now - self._last, 1e-9)
        self._last, self._rows = now, 0
        self._report(
            FitProgress(
                trial=self._trial,
                fold=self._fold,
                step=result.step,
                steps=result.steps,
                epoch=result.epoch,
                loss=result.loss,
                accuracy=result.accuracy,
                rows_per_second=rate,
                workers=self._gang.alive(),
                checkpoint=checkpoint,
            )
        )
