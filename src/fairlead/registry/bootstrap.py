"""The paired bootstrap: how sure a difference between two models' scores is.

Rows are drawn with replacement and both models are scored on the same draw, so what the rows have
in common cancels out (the paired bootstrap of Efron and Tibshirani, An Introduction to the
Bootstrap, 1993).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairlead.metrics import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 10_000
MAX_DRAWS = 200_000_000  # about a second; past 20,000 rows there are fewer resamples
SCORED_RESAMPLES = 1_000  # each calls scikit-learn twice, at about a millisecond
MAX_SCORED_DRAWS = 4_000_000  # past 4,000 rows there are fewer
MIN_RESAMPLES = 200  # of which their standard deviation is known to 5 %
DRAWS_AT_ONCE = 1 << 17  # rows that fit into a core's cache
IN_TAIL = 25  # resamples that must lie beyond a quantile for it to be read off them


@dataclass(frozen=True, kw_only=True)
class Resampled:
    """A difference, seen on the rows and on resamples of them.

    Args:
        observed: How much better the candidate is, in the metric's unit.
        differences: float64, the same on each resample that has a score, sorted.
        rows: Number of rows.
    """

    observed: float
    differences: NDArray[np.float64]
    rows: int

    @property
    def known(self) -> bool:
        """Whether enough resamples have a score for an interval to mean something."""
        return len(self.differences) >= MIN_RESAMPLES / 2

    def interval(self, confidence: float) -> tuple[float, float]:
        """The interval that holds the true difference with this confidence.

        It is the wider, at each end, of two: the quantiles of the resamples (which follow a skew),
        and Student's t around the observed difference with their standard deviation (which goes
        on past the last resample, and is honest about few rows). Where too few resamples lie
        beyond a quantile, the outermost one that can still be read stands for it.
        """
        alpha = 1 - confidence
        low, high = self._quantiles(alpha)
        reach = self._reach(alpha)
        return min(low, self.observed - reach), max(high, self.observed + reach)

    def _quantiles(self, alpha: float) -> tuple[float, float]:
        import numpy as np

        tail = min(max(alpha / 2, IN_TAIL / len(self.differences)), 0.5)
        low, high = np.quantile(self.differences, (tail, 1 - tail))
        return float(low), float(high)

    def _reach(self, alpha: float) -> float:
        from scipy.special import stdtrit

        deviation = float(self.differences.std(ddof=1)) * math.sqrt(self.rows / (self.rows - 1))
        return float(-stdtrit(self.rows - 1, alpha / 2)) * deviation


def resample(
    true: NDArray[Any],
    candidate: NDArray[np.float64],
    other: NDArray[np.float64],
    *,
    metric: Metric,
    seed: int,
) -> Resampled:
    """Score both models on the rows and on resamples of them.

    Args:
        true: [rows]: float64, or int64 class indexes.
        candidate: Its predictions: float64 [rows] or [rows, classes].
        other: What it is compared with, likewise.
        metric: Its losses row by row are resampled where it has them, its score is computed
            again on each resample where not.
        seed: The same seed gives the same interval.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    observed = metric.gain(metric.score(true, candidate), metric.score(true, other))
    if metric.losses is not None:
        losses = np.stack([metric.losses(true, candidate), metric.losses(true, other)])
        differences = _from_losses(losses, metric, rng)
    else:
        differences = _from_scores(true, candidate, other, metric, rng)
    differences = np.sort(differences[np.isfinite(differences)])
    return Resampled(observed=observed, differences=differences, rows=len(true))


def _from_losses(
    losses: NDArray[np.float64], metric: Metric, rng: np.random.Generator
) -> NDArray[np.float64]:
    import numpy as np

    rows = losses.shape[1]
    count = max(MIN_RESAMPLES, min(RESAMPLES, MAX_DRAWS // rows))
    means = np.concatenate(
        [np.take(losses, drawn, axis=1).mean(axis=2) for drawn in _draws(count, rows, rng)], axis=1
    )
    scores = np.sqrt(means) if metric.root else means
    difference: NDArray[np.float64] = scores[0] - scores[1]
    return difference if metric.greater_is_better else -difference


def _from_scores(
    true: NDArray[Any],
    candidate: NDArray[np.float64],
    other: NDArray[np.float64],
    metric: Metric,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    import numpy as np

    count = max(MIN_RESAMPLES, min(SCORED_RESAMPLES, MAX_SCORED_DRAWS // len(true)))
    with warnings.catch_warnings():
        # A resample may lack a class: scikit-learn warns, and gives NaN where that leaves no score.
        warnings.simplefilter("ignore")
        gains = [
            metric.gain(
                metric.score(true[drawn], candidate[drawn]),
                metric.score(true[drawn], other[drawn]),
            )
            for block in _draws(count, len(true), rng)
            for drawn in block
        ]
    return np.asarray(gains, dtype=np.float64)


def _draws(count: int, rows: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Row indexes of `count` resamples, some [resamples, rows] at a time: memory stays bounded."""
    step = max(1, DRAWS_AT_ONCE // rows)
    for start in range(0, count, step):
        yield rng.integers(0, rows, size=(min(step, count - start), rows))
