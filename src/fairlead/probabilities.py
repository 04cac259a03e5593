"""Probabilities as models give them: from 0 to 1, but for the rounding of sums.

A forest's are the mean of its trees', and twenty twentieths are 1.0000001 in float32. Metrics and
clients are right to refuse such a number, so it is corrected where predictions come from a model,
trained or exported, and nowhere else. A number that rounding cannot have made is left as it is: it
is the model's fault, and for whoever scores it to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROUNDING = 1e-4
"""How far rounding may lead beyond 0 or 1: parity's tolerance, many times what a forest of 10,000
trees can come to."""


def within_bounds(predicted: NDArray[Any]) -> NDArray[Any]:
    """The same probabilities, with 0 or 1 for those that rounding led beyond; NaN stays NaN.

    Args:
        predicted: Of any shape; it is the result where nothing is to be done, and never changed.
    """
    import numpy as np

    below, above = predicted < 0, predicted > 1
    if not (below | above).any():
        return predicted
    raised = np.where(below & (predicted >= -ROUNDING), predicted.dtype.type(0), predicted)
    return np.where(above & (predicted <= 1 + ROUNDING), predicted.dtype.type(1), raised)
