"""The folds of a study, prepared.

Belongs here: cutting training rows into folds and preparing each on its own training rows. Does
not: fitting models (fit.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairlead.data import split
from fairlead.data.table import Features
from fairlead.spec.document import Spec
from fairlead.training.prepare import Preparation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fairlead.families.family import Array


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


def prepared(features: Features, target: Array, spec: Spec, *, classes: bool) -> Iterator[Fold]:
    """The folds of these training rows, one after another.

    Args:
        features: The training rows.
        target: Their target.
        spec: Says how many folds, and how missing and text values are prepared.
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
