"""Metrics: name, sign, needs and formula of each score.

Predictions are what families give: float64 [rows] for regression, float64 [rows, classes]
probabilities for classification. A score is in the metric's own unit and sign.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from fairlead.errors import InvalidSpec
from fairlead.formatting import nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]

Score: TypeAlias = "Callable[[Array, Array], float]"
Losses: TypeAlias = "Callable[[Array, Array], NDArray[np.float64]]"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One way to score predictions.

    Args:
        name: As the spec writes it.
        task: What it is for.
        greater_is_better: Its sign.
        score: (true, predicted) to the score, to the last bit that of scikit-learn's own function.
        losses: (true, predicted) to float64 [rows], whose mean is the score (its root where
            `root`); lower is better unless `greater_is_better`. None where no such rows exist.
        root: Whether the score is the square root of the mean of the losses.
    """

    name: str
    task: Literal["regression", "classification"]
    greater_is_better: bool
    score: Score
    losses: Losses | None = None
    root: bool = False

    def better(self, one: float, other: float) -> bool:
        """Whether the first score is better than the second."""
        return one > other if self.greater_is_better else one < other

    def gain(self, one: float, other: float) -> float:
        """How much better the first score is than the second, in the metric's unit."""
        return one - other if self.greater_is_better else other - one

    def best(self, scores: Sequence[float | None]) -> int | None:
        """Index of the best score, the first of equals; None where there is no score."""
        known = [(score, index) for index, score in enumerate(scores) if score is not None]
        sign = -1 if self.greater_is_better else 1
        return min(known, key=lambda pair: (sign * pair[0], pair[1]))[1] if known else None


def _sklearn(name: str, **options: object) -> Score:
    def score(true: Array, predicted: Array) -> float:
        import sklearn.metrics

        return float(getattr(sklearn.metrics, name)(true, predicted, **options))

    return score


def _mean_of(losses: Losses, name: str, *, root: bool = False) -> Score:
    """The score of this name as the mean of the losses.

    For two vectors of numbers it is scikit-learn's to the last bit (a test holds it) and takes
    microseconds, where scikit-learn's checks take a tenth of a millisecond: as long as a small fit.
    Anything else goes to scikit-learn, which says what is wrong with it.
    """
    exact = _sklearn(name)

    def score(true: Array, predicted: Array) -> float:
        mean = float(losses(true, predicted).mean()) if _alike(true, predicted) else math.nan
        if not math.isfinite(mean):
            return exact(true, predicted)
        return math.sqrt(mean) if root else mean

    return score


def _alike(true: Array, predicted: Array) -> bool:
    """Whether both are float vectors of one length."""
    return (
        true.ndim == 1
        and len(true) > 0
        and true.shape == predicted.shape
        and true.dtype == "float64"
        and predicted.dtype in ("float64", "float32")
    )


def _of_labels(name: str, **options: object) -> Score:
    inner = _sklearn(name, **options)
    return lambda true, predicted: inner(true, predicted.argmax(axis=1))


def _log_loss(true: Array, predicted: Array) -> float:
    labels = range(predicted.shape[1])
    if len(labels) == 2:  # noqa: PLR2004 - two classes: scikit-learn's scorer takes the second one
        predicted = predicted[:, 1]
    return _sklearn("log_loss", labels=labels)(true, predicted)


def _roc_auc(true: Array, predicted: Array) -> float:
    labels = list(range(predicted.shape[1]))
    if len(labels) == 2:  # noqa: PLR2004 - two classes: the score of the second one
        return _sklearn("roc_auc_score")(true, predicted[:, 1])
    return _sklearn("roc_auc_score", multi_class="ovr", labels=labels)(true, predicted)


def _squares(true: Array, predicted: Array) -> NDArray[np.float64]:
    losses: NDArray[np.float64] = (true - predicted) ** 2
    return losses


def _distances(true: Array, predicted: Array) -> NDArray[np.float64]:
    losses: NDArray[np.float64] = abs(true - predicted)
    return losses


def _hits(true: Array, predicted: Array) -> NDArray[np.float64]:
    hits: NDArray[np.float64] = (predicted.argmax(axis=1) == true).astype(float)
    return hits


def _surprises(true: Array, predicted: Array) -> NDArray[np.float64]:
    import numpy as np

    tiny = np.finfo(predicted.dtype).eps  # as scikit-learn's log_loss clips
    of_true = predicted[np.arange(len(true)), true].clip(tiny, 1 - tiny)
    losses: NDArray[np.float64] = -np.log(of_true)
    return losses


_ALL = (
    Metric(
        name="mse",
        task="regression",
        greater_is_better=False,
        score=_mean_of(_squares, "mean_squared_error"),
        losses=_squares,
    ),
    Metric(
        name="rmse",
        task="regression",
        greater_is_better=False,
        score=_mean_of(_squares, "root_mean_squared_error", root=True),
        losses=_squares,
        root=True,
    ),
    Metric(
        name="mae",
        task="regression",
        greater_is_better=False,
        score=_mean_of(_distances, "mean_absolute_error"),
        losses=_distances,
    ),
    Metric(name="r2", task="regression", greater_is_better=True, score=_sklearn("r2_score")),
    Metric(
        name="accuracy",
        task="classification",
        greater_is_better=True,
        score=_of_labels("accuracy_score"),
        losses=_hits,
    ),
    Metric(
        name="balanced_accuracy",
        task="classification",
        greater_is_better=True,
        score=_of_labels("balanced_accuracy_score"),
    ),
    Metric(
        name="f1",
        task="classification",
        greater_is_better=True,
        score=_of_labels("f1_score", average="macro"),
    ),
    Metric(
        name="log_loss",
        task="classification",
        greater_is_better=False,
        score=_log_loss,
        losses=_surprises,
    ),
    Metric(name="roc_auc", task="classification", greater_is_better=True, score=_roc_auc),
)
METRICS = {metric.name: metric for metric in _ALL}
_DEFAULTS = {"regression": "mse", "classification": "accuracy"}
_MEANT = {
    "regression": "; if the target is an amount, set data.task: regression",
    "classification": "; if the target is a class, set data.task: classification",
}


def metric_for(name: str | None, task: Literal["regression", "classification"]) -> Metric:
    """The metric of this name, or the task's default.

    Raises:
        InvalidSpec: There is none of this name, or it is for the other task.
    """
    metric = METRICS.get(name or _DEFAULTS[task])
    fitting = [known.name for known in _ALL if known.task == task]
    if metric is None:
        near = nearest(str(name), fitting)
        hint = f"did you mean {near!r}? " if near else ""
        raise InvalidSpec(
            f"search.metric: {name!r} is no metric; {hint}for {task}: {', '.join(fitting)}"
        )
    if metric.task != task:
        raise InvalidSpec(
            f"search.metric: {metric.name!r} is for {metric.task}, and this data is for {task}: "
            f"choose one of {', '.join(fitting)}{_MEANT[metric.task]}"
        )
    return metric
