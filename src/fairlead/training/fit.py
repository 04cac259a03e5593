"""Fitting and scoring the trials of one task.

A trial is scored by cross-validation: fitted on each fold's training rows, scored on its test rows,
and pruned after a fold where its mean so far is worse than the given bound. Trials that differ only
in the family's stage parameter (a number of trees) share the longest one's fit, whose stages give
the predictions of the others.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fairlead.data import split
from fairlead.data.table import Features
from fairlead.families.family import Array, Family, Fitted, Task
from fairlead.metrics import Metric
from fairlead.records import Params, Result, Scalar, Trial
from fairlead.training.prepare import Preparation

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

    def fit(self, params: Params, family: Family, x: Array, y: Array) -> Fitted:
        """Fit these parameters on these rows.

        The process's own generators are seeded as well: an estimator may draw from them, and what
        it draws must not depend on what this process did before.
        """
        random.seed(self.seed)
        np.random.seed(self.seed)  # noqa: NPY002 - the generator that old estimators draw from
        estimator = family.build(params, self.task, seed=self.seed, threads=self.threads)
        return family.fit(estimator, x, y, classes=self.classes)


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One fold's rows; what the preparation makes of them is fitted on its training rows.

    Args:
        x_train, x_test: float64 [rows, width].
        y_train, y_test: float64 [rows], or int64 [rows] class indexes.
    """

    x_train: NDArray[np.float64]
    y_train: Array
    x_test: NDArray[np.float64]
    y_test: Array

    def copy(self) -> Fold:
        """The same rows in arrays of their own: an estimator may write into what it is given."""
        return Fold(
            x_train=self.x_train.copy(),
            y_train=self.y_train.copy(),
            x_test=self.x_test.copy(),
            y_test=self.y_test.copy(),
        )


def prepared_folds(
    features: Features, target: Array, spec: Spec, *, classes: bool
) -> Iterator[Fold]:
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
        )


def score(
    trials: Sequence[Trial], family: Family, folds: Iterator[Fold], recipe: Recipe
) -> list[Result]:
    """Score the trials of one task, each on every fold.

    Args:
        trials: One, or several that differ only in the family's stage parameter.
        family: What to fit.
        folds: The study's folds, in order.
        recipe: How to fit it.

    Returns:
        A result for each trial, in the same order. The seconds of a shared fit are divided
        among its trials by how far each of them goes.

    A trial whose predictions are not finite numbers has failed; its reason names the fold.
    """
    if len(trials) > 1:
        return _score_shared(trials, family, folds, recipe)
    return [_score_alone(trials[0], family, folds, recipe)]


def _score_alone(trial: Trial, family: Family, folds: Iterator[Fold], recipe: Recipe) -> Result:
    started = time.monotonic()
    scores: list[float] = []
    for fold in folds:
        fitted = recipe.fit(trial.params, family, fold.x_train, fold.y_train)
        judged = _judge(family.predict(fitted, fold.x_test), fold, recipe, len(scores))
        if isinstance(judged, str):
            return _failed(trial, judged, time.monotonic() - started)
        scores.append(judged)
        reason = _beyond(scores, trial.stop_beyond, recipe.metric)
        if reason:
            return Result(
                number=trial.number,
                state="pruned",
                scores=tuple(scores),
                seconds=time.monotonic() - started,
                reason=reason,
            )
    return _done(trial, scores, time.monotonic() - started)


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
    trials: Sequence[Trial], family: Family, folds: Iterator[Fold], recipe: Recipe
) -> list[Result]:
    started = time.monotonic()
    stage = family.stage(trials[0].params)
    lengths = [1 if stage is None else _whole(trial.params[stage]) for trial in trials]
    longest = trials[lengths.index(max(lengths))]
    scores: list[list[float | str]] = [[] for _ in trials]
    for number, fold in enumerate(folds):
        fitted = recipe.fit(longest.params, family, fold.x_train, fold.y_train)
        at = sorted(set(lengths))
        predictions = _predictions(family, fitted, fold.x_test, None if stage is None else at)
        judged = [_judge(predicted, fold, recipe, number) for predicted in predictions]
        by_length = dict(zip(at, judged, strict=True))
        for own, length in zip(scores, lengths, strict=True):
            own.append(by_length[length])
    seconds = (time.monotonic() - started) / sum(lengths)
    return [
        _ended(trial, own, seconds * length)
        for trial, own, length in zip(trials, scores, lengths, strict=True)
    ]


def _ended(trial: Trial, judged: Sequence[float | str], seconds: float) -> Result:
    """Done, or failed for the first reason that a fold gave."""
    reason = next((fold for fold in judged if isinstance(fold, str)), None)
    if reason is not None:
        return _failed(trial, reason, seconds)
    return _done(trial, [fold for fold in judged if isinstance(fold, float)], seconds)


def _failed(trial: Trial, reason: str, seconds: float) -> Result:
    return Result(number=trial.number, state="failed", seconds=seconds, reason=reason)


def _predictions(
    family: Family, fitted: Fitted, x: Array, at: Sequence[int] | None
) -> Iterator[Array]:
    """At each of these lengths; the whole fit's where the trials are equal (`at` is None)."""
    if at is None:
        return iter([family.predict(fitted, x)])
    return family.stages(fitted, x, at)


def _whole(value: Scalar) -> int:
    assert isinstance(value, int), "a family's stage is a whole number"
    return value


def _judge(predicted: Array, fold: Fold, recipe: Recipe, number: int) -> float | str:
    """The fold's score, or why there is none."""
    wrong = int((~np.isfinite(predicted)).sum())
    if wrong:
        return f"fold {number}: {wrong} predictions are not finite numbers"
    score = recipe.metric.score(fold.y_test, predicted)
    return score if math.isfinite(score) else f"fold {number}: its score is {score}"


def _done(trial: Trial, scores: Sequence[float], seconds: float) -> Result:
    return Result(
        number=trial.number,
        state="done",
        scores=tuple(scores),
        score=float(np.mean(scores)),
        seconds=seconds,
    )
