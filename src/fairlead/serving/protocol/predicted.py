"""Predictions on their way out: numbers as they read shortest, classes by their labels.

Belongs here: what both protocols say about predictions. Does not: documents.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fairlead.errors import Failed
from fairlead.records import Scalar

LabelType: TypeAlias = Literal["BYTES", "BOOL", "INT64", "FP64"]


def check_predicted(predicted: NDArray[Any], rows: int) -> None:
    """Refuse to answer with NaN or infinity, which JSON cannot say and nobody can use.

    Raises:
        Failed: Names the first such row; or there is not one prediction for each row.
    """
    if len(predicted) != rows:
        raise Failed(f"the model gave {len(predicted)} predictions for {rows} rows")
    if not _finite(predicted):
        row, *_ = np.argwhere(~np.isfinite(predicted))[0].tolist()
        raise Failed(f"row {row + 1}: the model predicted {predicted[row]}, which is no prediction")


def _finite(predicted: NDArray[Any]) -> bool:
    if predicted.size == 1:  # most requests; numpy takes ten times as long
        return math.isfinite(predicted.item())
    return bool(np.isfinite(predicted).all())


def shortest(values: NDArray[Any]) -> list[float]:
    """Numbers, row-major, in the fewest digits that read, as float32, as the same number.

    A model gives float32: 28.917278, which as float64 is 28.917278289794922. Where float32 does
    not hold a number it stays as it is. So does `fairlead predict` write them.
    """
    numbers: list[float] = values.ravel().tolist()
    single = array("f", numbers)
    short = [float(str(one)) for one in np.asarray(single)]
    held, again = single.tolist(), array("f", short).tolist()
    if numbers == held == again:
        return short
    fits = (number == was == read for number, was, read in zip(numbers, held, again, strict=True))
    return [brief if fit else n for brief, n, fit in zip(short, numbers, fits, strict=True)]


def labels(probabilities: NDArray[Any], classes: Sequence[Scalar]) -> list[Scalar]:
    """The most probable class of each row, the first of equals."""
    return [classes[index] for index in probabilities.argmax(axis=1).tolist()]


def label_type(classes: Sequence[Scalar]) -> LabelType:
    """The datatype that holds every class."""
    kinds = set(map(type, classes))
    if kinds == {bool}:
        return "BOOL"
    if kinds == {int}:
        return "INT64"
    return "FP64" if kinds <= {int, float} else "BYTES"
