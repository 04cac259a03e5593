"""Scores at the ends of epochs: what they are, when they stop a trial, what they leave alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold
from tests.support import softmax

from fairlead.artifacts import Artifacts
from fairlead.families import catalog
from fairlead.families.family import Family
from fairlead.families.imported import Imported
from fairlead.gang.network import StepResult
from fairlead.gang.work import FitJob
from fairlead.metrics import metric_for
from fairlead.records import FitProgress, Result, Trial
from fairlead.training import task_fits
from fairlead.training.fit import Fold, Recipe, score
from fairlead.training.learning_curve import LearningCurve
from fairlead.training.task_fits import FitChannel, TaskFits, TaskSetting

RECIPE = Recipe(classes=10, metric=metric_for("accuracy", "classification"), seed=3, threads=1)
X, Y = load_digits(return_X_y=True)
BETTER_THAN_ANY = (2.0, 2.0, 2.0, 2.0)


def family() -> Family:
    content = Path(softmax.__file__).read_bytes()
    found = catalog.family("./softmax.py:Softmax", base=Path(), source=content)
    assert isinstance(found, Imported)
    return found.in_steps()


def folds() -> Iterator[Fold]:
    for a, b in StratifiedKFold(2).split(X[:400], Y[:400]):
        yield Fold(x_train=X[a], y_train=Y[a], x_test=X[b], y_test=Y[b])


def trial(epochs: int, bounds: tuple[float, ...] | None = None) -> Trial:
    return Trial(
        number=0,
        family="./softmax.py:Softmax",
        params={"epochs": epochs, "learning_rate": 0.001},
        stop_beyond_epoch=bounds,
    )


def no_job(_trial: Trial, _fold: int | None) -> FitJob:
    raise AssertionError("nobody shares the fit")


def scored(
    one: Trial,
    folder: Path,
    channel: FitChannel | None = None,
    *,
    by_epoch: bool = True,
    of: Family | None = None,
) -> Result:
    """What came of a trial, without the seconds."""
    setting = TaskSetting(
        study="s",
        recipe=RECIPE,
        train=None,
        job=no_job,
        gang=None,
        spark=None,
        artifacts=Artifacts(str(folder)),
        by_epoch=by_epoch,
    )
    fits = TaskFits(setting, channel or FitChannel())
    [result] = score([one], of or family(), folds, RECIPE, fits)
    return replace(result, seconds=0.0)


def test_a_curve_is_what_fits_of_fewer_epochs_score_on_the_first_fold(tmp_path: Path) -> None:
    result = scored(trial(4), tmp_path)
    shorter = [scored(trial(epochs), tmp_path, by_epoch=False) for epochs in (1, 2, 3, 4)]
    assert result.curve == tuple(one.scores[0] for one in shorter)
    assert len(set(result.curve)) > 1


def test_scores_at_the_ends_of_epochs_leave_the_fit_as_it_is(tmp_path: Path) -> None:
    plain = scored(trial(3), tmp_path, by_epoch=False)
    assert plain.curve == ()
    assert replace(scored(trial(3), tmp_path), curve=()) == plain


def test_a_trial_that_is_worse_at_the_end_of_an_epoch_stops_and_says_so(tmp_path: Path) -> None:
    whole = scored(trial(4), tmp_path)
    bounds = (whole.curve[1], whole.curve[2] + 0.01)
    result = scored(trial(4, bounds), tmp_path)
    assert (result.state, result.score, result.scores) == ("pruned", None, ())
    assert result.curve == whole.curve[:3]
    assert result.reason == (
        f"fold 0: its score after epoch 3, {whole.curve[2]:.6g}, is worse than the median, "
        f"{bounds[1]:.6g}"
    )


def test_a_trial_as_good_as_the_median_of_each_epoch_goes_on(tmp_path: Path) -> None:
    whole = scored(trial(4), tmp_path)
    assert scored(trial(4, whole.curve[1:]), tmp_path) == whole


@pytest.mark.parametrize("epochs", [1, 2])
def test_neither_the_first_epoch_nor_the_last_stops_a_trial(epochs: int, tmp_path: Path) -> None:
    result = scored(trial(epochs, BETTER_THAN_ANY), tmp_path)
    assert (result.state, len(result.curve), len(result.scores)) == ("done", epochs, 2)


@pytest.mark.parametrize("bounds", [None, (0.0,), BETTER_THAN_ANY])
def test_an_attempt_that_goes_on_from_any_checkpoint_comes_to_the_same(
    bounds: tuple[float, ...] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_fits, "CHECKPOINT", 0.0)
    one, told = trial(3, bounds), list[FitProgress]()
    whole = scored(one, tmp_path, FitChannel(report=told.append))
    kept = [progress for progress in told if progress.checkpoint is not None]
    assert len(kept) > 3
    for progress in kept:
        steps: list[FitProgress] = []
        channel = FitChannel(report=steps.append, checkpoint=progress.checkpoint)
        assert scored(one, tmp_path, channel) == whole
        assert [step for step in steps if step.fold == 0 and step.step <= progress.step] == [] or (
            progress.fold == 1
        )


def test_predictions_that_are_no_numbers_at_the_end_of_an_epoch_fail_the_trial(
    tmp_path: Path,
) -> None:
    made = cast("Any", family())

    class Odd(type(made)):  # type: ignore[misc] # the class of a family that was imported
        def predict(self, fitted: Any, x: Any) -> Any:
            predicted = super().predict(fitted, x)
            predicted[0, 0] = np.nan
            return predicted

    odd = Odd(name=made.name, source=made.source)
    result = scored(trial(3), tmp_path, of=odd)
    assert (result.state, result.curve) == ("failed", ())
    assert result.reason == "fold 0: epoch 1: 1 predictions are not finite numbers"


def test_a_step_over_several_epochs_is_their_score() -> None:
    curve = LearningCurve(trial(9, (0.5, 0.6, 0.7)), RECIPE.metric)
    step = StepResult(step=0, steps=3, epoch=3.0, loss=1.0, accuracy=None, rows=1)
    assert curve.is_due(step)
    assert curve.add(step, 0.65) is None
    assert curve.scores == (0.65, 0.65, 0.65)
    assert not curve.is_due(replace(step, step=1, epoch=3.9))
    assert "after epoch 4, 0.65, is worse" in str(curve.add(replace(step, epoch=4.1), 0.65))
