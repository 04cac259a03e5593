"""Fitting and scoring the trials of one task.

A trial is scored by cross-validation: fitted on each fold's training rows, scored on its test rows,
and pruned after a fold where its mean so far is worse than the given bound, or within the first
fold where its learning curve is (learning_curve.py). Trials that differ only
in the family's stage parameter (a number of trees) share the longest one's fit, whose stages give
the predictions of the others.

How a fit is made is for `Fits`: afresh and in this process, or as one of steps that others compute,
told of while it goes on and taken up where an earlier attempt was lost (task_fits.py).
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

import numpy as np

from fairlead.data import split
from fairlead.data.features import Rows
from fairlead.errors import Diverged
from fairlead.families.family import Array, Batchwise, Estimator, Family, Fitted, Matrix, Task
from fairlead.metrics import Metric
from fairlead.records import Params, Result, Scalar, Trial
from fairlead.training.prepare import UNPREPARED, Preparation, PreparedRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fairlead.spec.document import Spec


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How every fit of one study is made."""

    classes: int | None  # None for regression
    metric: Metric
    seed: int
    threads: int

    @property
    def task(self) -> Task:
        """Regression or classification."""
        return "regression" if self.classes is None else "classification"

    def build(self, params: Params, family: Family) -> Estimator:
        """An unfitted estimator.

        The process's own generators are seeded as well: an estimator may draw from them, and what
        it draws must not depend on what this process did before.
        """
        random.seed(self.seed)
        np.random.seed(self.seed)  # noqa: NPY002 - the generator that old estimators draw from
        return family.build(params, self.task, seed=self.seed, threads=self.threads)

    def fit(self, params: Params, family: Family, x: Matrix, y: Array) -> Fitted:
        """Fit these parameters on these rows."""
        given = given_to(family, params, x)
        return family.fit(self.build(params, family), given, y, classes=self.classes)


def given_to(family: Family, params: Params, x: Matrix) -> Array:
    """The rows as the family takes them: one that takes no `Batches` is given an array."""
    if isinstance(x, np.ndarray) or (isinstance(family, Batchwise) and not family.whole(params)):
        return cast("Array", x)
    return np.asarray(x)


def predicted(family: Family, fitted: Fitted, x: Matrix) -> Array:
    """Predictions for these rows."""
    if isinstance(x, np.ndarray):
        return family.predict(fitted, x)
    return np.concatenate([family.predict(fitted, block) for block in x.blocks()])


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One fold's rows; what the preparation makes of them is fitted on its training rows.

    Args:
        x_train, x_test: float64 [rows, width].
        y_train, y_test: float64 [rows], or int64 [rows] class indexes.
        preparation: What was made of the table's rows; nothing unless it is given.
    """

    x_train: NDArray[np.float64] | PreparedRows
    y_train: Array
    x_test: NDArray[np.float64] | PreparedRows
    y_test: Array
    preparation: Preparation = UNPREPARED

    def copy(self) -> Fold:
        """The same rows in arrays of their own: an estimator may write into what it is given."""
        return Fold(
            x_train=self.x_train.copy(),
            y_train=self.y_train.copy(),
            x_test=self.x_test.copy(),
            y_test=self.y_test.copy(),
            preparation=self.preparation,
        )


def prepared_folds(features: Rows, target: Array, spec: Spec, *, classes: bool) -> Iterator[Fold]:
    """The folds of these training rows, one after another.

    Args:
        features: The training rows.
        target: Their target.
        spec: Its number of folds, and its `impute` and `encode`.
        classes: Whether the target is class indexes.
    """
    for train, test in split.folds(target, spec.search.folds, classes=classes):
        fitted_on = features.take(train)
        preparation = Preparation.fit(fitted_on, spec.data)
        yield Fold(
            x_train=preparation.transform(fitted_on),
            y_train=target[train],
            x_test=preparation.transform(features.take(test)),
            y_test=target[test],
            preparation=preparation,
        )


Judged: TypeAlias = float | str
"""What a fold came to: its score, or why it has none."""


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """A fit that was not worth its rest.

    Args:
        reason: Why its trial is pruned.
    """

    reason: str


class Fits(Protocol):
    """The fits of one task, a fold after another."""

    @property
    def curve(self) -> tuple[float, ...]:
        """The scores of the task's trial at the ends of the epochs of its first fold.

        None where fits have no epochs, or are not judged at their ends.
        """
        ...

    def begin(self, trials: Sequence[Trial]) -> None:
        """The folds of these trials, which share their fits, come next."""
        ...

    def known(self, fold: int) -> tuple[Judged, ...] | None:
        """What a fold came to in an earlier attempt, for each trial; None where it has none."""
        ...

    def fit(
        self, params: Params, family: Family, fold: Fold, stages: Sequence[int]
    ) -> Fitted | Stopped:
        """Fit these parameters on the fold that comes next.

        Args:
            params: Of the trial, or of the longest of several.
            family: What to fit.
            fold: Its rows.
            stages: The lengths that the family's `stages` will be asked for.

        Returns:
            The model; or, for a trial alone, that it is pruned before the end of the fit.
        """
        ...

    def judged(self, values: Sequence[Judged]) -> None:
        """What that fold came to, for each trial."""
        ...


@dataclass(frozen=True, kw_only=True)
class FitsAfresh:
    """Fits in this process, of which nothing is kept."""

    recipe: Recipe
    curve: tuple[float, ...] = ()

    def begin(self, trials: Sequence[Trial]) -> None:
        """Nothing to do."""

    def known(self, fold: int) -> None:
        """Nothing is known of any fold."""

    def fit(self, params: Params, family: Family, fold: Fold, stages: Sequence[int]) -> Fitted:  # noqa: ARG002 - as the Protocol has it
        """Fit in this process."""
        return self.recipe.fit(params, family, fold.x_train, fold.y_train)

    def judged(self, values: Sequence[Judged]) -> None:
        """Nothing to do."""


def score(
    trials: Sequence[Trial],
    family: Family,
    folds: Callable[[], Iterator[Fold]],
    recipe: Recipe,
    fits: Fits | None = None,
) -> list[Result]:
    """Score the trials of one task, each on every fold.

    Args:
        trials: One, or several that differ only in the family's stage parameter.
        family: What to fit.
        folds: Gives the study's folds, in order.
        recipe: How to fit it.
        fits: Makes the fits; they are made afresh in this process if not given.

    Returns:
        A result for each trial, in the same order. The seconds of a shared fit are divided
        among its trials by how far each of them goes.

    A trial whose predictions are not finite numbers, or whose loss is none, has failed; its reason
    names the fold. Where the loss of a shared fit is none, its trials are fitted one by one: those
    that end before that are not to fail with it.
    """
    fits = fits or FitsAfresh(recipe=recipe)
    if len(trials) > 1:
        try:
            return _score_shared(trials, family, folds(), recipe, fits)
        except Diverged:
            return [_score_alone(trial, family, folds(), recipe, fits) for trial in trials]
    return [_score_alone(trials[0], family, folds(), recipe, fits)]


def _score_alone(
    trial: Trial, family: Family, folds: Iterator[Fold], recipe: Recipe, fits: Fits
) -> Result:
    started = time.monotonic()
    scores: list[float] = []
    fits.begin([trial])
    for number, fold in enumerate(folds):
        known = fits.known(number)
        judged = known[0] if known else _fitted(trial, family, fold, recipe, fits)
        if isinstance(judged, str):
            return _failed(trial, f"fold {number}: {judged}", time.monotonic() - started)
        if isinstance(judged, Stopped):
            reason: str | None = f"fold {number}: {judged.reason}"
        else:
            scores.append(judged)
            reason = _beyond(scores, trial.stop_beyond, recipe.metric)
        if reason:
            return Result(
                number=trial.number,
                state="pruned",
                scores=tuple(scores),
                seconds=time.monotonic() - started,
                reason=reason,
                curve=fits.curve,
            )
    return replace(_done(trial, scores, time.monotonic() - started), curve=fits.curve)


def _fitted(
    trial: Trial, family: Family, fold: Fold, recipe: Recipe, fits: Fits
) -> Judged | Stopped:
    try:
        fitted = fits.fit(trial.params, family, fold, ())
        if isinstance(fitted, Stopped):
            return fitted
        judged = judge(predicted(family, fitted, fold.x_test), fold, recipe)
    except Diverged as error:
        judged = str(error)
    fits.judged([judged])
    return judged


def _beyond(
    scores: Sequence[float], stop_beyond: tuple[float, ...] | None, metric: Metric
) -> str | None:
    if stop_beyond is None or len(scores) > len(stop_beyond):
        return None
    mean, bound = sum(scores) / len(scores), stop_beyond[len(scores) - 1]
    if not metric.better(bound, mean):
        return None
    return f"its mean over {len(scores)} folds, {mean:.6g}, is worse than the median, {bound:.6g}"


def _score_shared(
    trials: Sequence[Trial], family: Family, folds: Iterator[Fold], recipe: Recipe, fits: Fits
) -> list[Result]:
    started = time.monotonic()
    stage = family.stage(trials[0].params)
    lengths = [1 if stage is None else _whole(trial.params[stage]) for trial in trials]
    longest = trials[lengths.index(max(lengths))]
    at = None if stage is None else sorted(set(lengths))
    scores: list[list[Judged]] = [[] for _ in trials]
    fits.begin(trials)
    for number, fold in enumerate(folds):
        judged = fits.known(number)
        if judged is None:
            fitted = fits.fit(longest.params, family, fold, at or ())
            assert not isinstance(fitted, Stopped), "a trial that may be pruned has its own task"
            predictions = _predictions(family, fitted, fold.x_test, at)
            by_length = [judge(predicted, fold, recipe) for predicted in predictions]
            places = [0 if at is None else at.index(length) for length in lengths]
            judged = tuple(by_length[place] for place in places)
            fits.judged(judged)
        for own, value in zip(scores, judged, strict=True):
            own.append(value)
    seconds = (time.monotonic() - started) / sum(lengths)
    return [
        _ended(trial, own, seconds * length)
        for trial, own, length in zip(trials, scores, lengths, strict=True)
    ]


def _ended(trial: Trial, judged: Sequence[Judged], seconds: float) -> Result:
    """Done, or failed for the first reason that a fold gave."""
    for number, fold in enumerate(judged):
        if isinstance(fold, str):
            return _failed(trial, f"fold {number}: {fold}", seconds)
    return _done(trial, [fold for fold in judged if isinstance(fold, float)], seconds)


def _failed(trial: Trial, reason: str, seconds: float) -> Result:
    return Result(number=trial.number, state="failed", seconds=seconds, reason=reason)


def _predictions(
    family: Family, fitted: Fitted, x: Matrix, at: Sequence[int] | None
) -> Iterator[Array]:
    """At each of these lengths; the whole fit's where the trials are equal (`at` is None)."""
    if at is None:
        return iter([predicted(family, fitted, x)])
    if isinstance(x, np.ndarray):
        return family.stages(fitted, x, at)
    blocks = [tuple(family.stages(fitted, block, at)) for block in x.blocks()]
    return map(np.concatenate, zip(*blocks, strict=True))


def _whole(value: Scalar) -> int:
    assert isinstance(value, int), "a family's stage is a whole number"
    return value


def judge(predicted: Array, fold: Fold, recipe: Recipe) -> Judged:
    """The fold's score, or why there is none."""
    wrong = int((~np.isfinite(predicted)).sum())
    if wrong:
        return f"{wrong} predictions are not finite numbers"
    score = recipe.metric.score(fold.y_test, predicted)
    return score if math.isfinite(score) else f"its score is {score}"


def _done(trial: Trial, scores: Sequence[float], seconds: float) -> Result:
    return Result(
        number=trial.number,
        state="done",
        scores=tuple(scores),
        score=float(np.mean(scores)),
        seconds=seconds,
    )
