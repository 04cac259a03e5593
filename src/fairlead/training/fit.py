"""Fitting and scoring the trials of one task.

Belongs here: folds, stages of a shared fit, pruning within a trial. Does not: what is fitted
(families), on what rows (folds.py), and who asked (worker).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fairlead.errors import Failed
from fairlead.families.family import Array, Family, Fitted, Task
from fairlead.metrics import Metric
from fairlead.records import Params, Result, Scalar, Trial
from fairlead.training.folds import Fold


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How every fit of one study is made."""

    classes: int | None  # None for regression
    metric: Metric
    seed: int
    threads: int

    @property
    def task(self) -> Task:
        """What the fits are for."""
        return "regression" if self.classes is None else "classification"

    def fit(self, params: Params, family: Family, x: Array, y: Array) -> Fitted:
        """Fit these parameters on these rows."""
        estimator = family.build(params, self.task, seed=self.seed, threads=self.threads)
        return family.fit(estimator, x, y, classes=self.classes)


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

    Raises:
        Failed: The model's predictions are not finite numbers.
    """
    if len(trials) > 1:
        return _score_shared(trials, family, folds, recipe)
    return [_score_alone(trials[0], family, folds, recipe)]


def _score_alone(trial: Trial, family: Family, folds: Iterator[Fold], recipe: Recipe) -> Result:
    started = time.monotonic()
    scores: list[float] = []
    for fold in folds:
        fitted = recipe.fit(trial.params, family, fold.x_train, fold.y_train)
        scores.append(_judge(family.predict(fitted, fold.x_test), fold, recipe, len(scores)))
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
    scores: list[list[float]] = [[] for _ in trials]
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
        _done(trial, own, seconds * length)
        for trial, own, length in zip(trials, scores, lengths, strict=True)
    ]


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


def _judge(predicted: Array, fold: Fold, recipe: Recipe, number: int) -> float:
    import numpy as np

    if not np.isfinite(predicted).all():
        wrong = int((~np.isfinite(predicted)).sum())
        raise Failed(f"fold {number}: {wrong} predictions are not finite numbers")
    return recipe.metric.score(fold.y_test, predicted)


def _done(trial: Trial, scores: Sequence[float], seconds: float) -> Result:
    import numpy as np

    return Result(
        number=trial.number,
        state="done",
        scores=tuple(scores),
        score=float(np.mean(scores)),
        seconds=seconds,
    )
