"""Bins of columns that are fixed before XGBoost sees a row, and splits given back as values.

XGBoost bins each column at cut points that it finds in the rows it has, so the processes that share
a fit would find others than one that has all rows. Here the cut points are found first, in all
rows, and each value is replaced by the number of its bin. There are no more numbers than XGBoost
has bins, so it keeps them apart, whoever has which rows. In the trees that come of it, a split at
the number of a bin is made one at its lower edge: the model takes values as any other does. Of a
column with no more values than bins the cut points are the values themselves, as XGBoost's are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BEYOND = 1e-5
"""XGBoost's: its first and last cut point of a column are so far below and above all values."""


@dataclass(frozen=True, kw_only=True)
class ColumnBins:
    """The bins of one column, from the one below the first edge to the one above the last.

    Args:
        edges: float32, rising: the lower edges of all bins but the first.
        below, above: Less than every value, and more.
    """

    edges: NDArray[np.float32]
    below: float
    above: float

    def numbers(self, column: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of the values' bins, from 0; NaN for one that is missing."""
        import numpy as np

        found = np.searchsorted(self.edges, column, side="right").astype(np.float32)
        return np.where(np.isnan(column), np.float32(np.nan), found)

    def value(self, split: float) -> float:
        """What values are compared with in place of their bins' numbers with this one."""
        if split <= 0:
            return self.below
        return float(self.edges[int(split) - 1]) if split <= len(self.edges) else self.above


def bins_of(x: NDArray[Any], most: int) -> tuple[ColumnBins, ...]:
    """The bins of each column.

    Args:
        x: [rows, columns].
        most: Bins of a column at most.
    """
    import numpy as np

    return tuple(
        _of_column(np.asarray(x[:, place], np.float32), most) for place in range(x.shape[1])
    )


def _of_column(column: NDArray[np.float32], most: int) -> ColumnBins:
    import numpy as np

    present = np.sort(column[~np.isnan(column)])
    if not len(present):
        return ColumnBins(edges=present, below=-_BEYOND, above=_BEYOND)
    values = np.unique(present)
    least, largest = values[0], values[-1]
    if len(values) > most:
        ranks = np.arange(1, most) * len(present) // most  # as many rows in each
        values = np.unique(np.append(present[ranks], least))
    beyond = np.float32(_BEYOND)
    return ColumnBins(
        edges=values[1:],
        below=float(least - (abs(least) + beyond)),
        above=float(largest + (abs(largest) + beyond)),
    )


def numbered(x: NDArray[Any], bins: Sequence[ColumnBins]) -> NDArray[np.float32]:
    """The numbers of the bins of all values, [rows, columns]."""
    import numpy as np

    numbers = np.empty(x.shape, np.float32)
    for place, column in enumerate(bins):
        numbers[:, place] = column.numbers(np.asarray(x[:, place], np.float32))
    return numbers


def with_values(model: bytes, bins: Sequence[ColumnBins]) -> bytes:
    """A model of numbered bins, as JSON, as one of values."""
    document = json.loads(model)
    for tree in document["learner"]["gradient_booster"]["model"]["trees"]:
        columns, splits = tree["split_indices"], tree["split_conditions"]
        for node, left in enumerate(tree["left_children"]):
            if left != -1:  # a leaf, whose condition is its weight
                splits[node] = bins[columns[node]].value(splits[node])
    return json.dumps(document).encode()
