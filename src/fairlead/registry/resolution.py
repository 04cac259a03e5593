"""Which predictions differ by no more than rounding.

Belongs here: how near two predictions are the same, and making them so. Does not: scores (gate.py).

Models are judged by their exported form, which predicts in float32. A model that is all but
constant differs from the baseline in the last bits, and a score over many rows may turn these into
a gain: small, and as sure as its interval says, and made of rounding. So what rounding could have
made is taken out before anything is scored, whatever the metric.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESOLUTION = 2.0**-20
"""Eight steps of float32 near 1: about one in a million."""


def settled(
    true: NDArray[Any], candidate: NDArray[np.float64], other: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The candidate's predictions, with the other's where rounding alone may tell them apart.

    Numbers are held against the largest of both predictions and the standard deviation of the
    target, since sums of terms of that size were rounded on the way; probabilities against 1, and
    a row is the same only if all its classes are.

    Args:
        true: [rows]: float64, or int64 class indexes.
        candidate: Its predictions: float64 [rows], or float32 or float64 [rows, classes].
        other: What it is compared with, likewise.
    """
    import numpy as np

    near = np.abs(candidate - other) <= RESOLUTION * _size(true, candidate, other)
    same = near.all(axis=1) if near.ndim > 1 else near
    result = candidate.copy()
    result[same] = other[same]
    return result


def _size(
    true: NDArray[Any], candidate: NDArray[np.float64], other: NDArray[np.float64]
) -> NDArray[np.float64] | float:
    """What the predictions were rounded at, [rows], or 1 for probabilities."""
    import numpy as np

    if candidate.ndim > 1:
        return 1.0
    larger = np.maximum(np.abs(candidate), np.abs(other))
    size: NDArray[np.float64] = np.maximum(larger, true.std())
    return size
