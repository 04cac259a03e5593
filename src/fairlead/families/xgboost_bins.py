"""Bins of columns that are fixed before XGBoost sees a row, and splits given back as values.

XGBoost bins each column at cut points that it finds in the rows it has, so the processes that share
a fit would find others than one that has all rows. Here the cut points are found first, in all
rows and wherever these are (exact_quantiles.py), and each value is replaced by the number of its
bin. There are no more numbers than XGBoost has bins, so it keeps them apart, whoever has which
rows. In the trees that come of it, a split at the number of a bin is made one at its lower edge:
the model takes values as any other does. Of a column with no more values than bins the cut points
are the values themselves, as XGBoost's are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fairlead.families.exact_quantiles import ROUNDS, ColumnSearch, advanced, most_cells

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fairlead.families.exact_quantiles import Counts

CELLS = 1 << 23
"""Counts, of 8 bytes, that a process holds at a time."""
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
        found = np.searchsorted(self.edges, column, side="right").astype(np.float32)
        return np.where(np.isnan(column), np.float32(np.nan), found)

    def value(self, split: float) -> float:
        """What values are compared with in place of their bins' numbers with this one."""
        if split <= 0:
            return self.below
        return float(self.edges[int(split) - 1]) if split <= len(self.edges) else self.above


Count: TypeAlias = Callable[[Sequence[ColumnSearch], slice], "Counts"]
"""Counts some columns of all rows, wherever these are; as `exact_quantiles.counted`."""


def bins_of(count: Count, columns: int, most: int, *, cells: int = CELLS) -> tuple[ColumnBins, ...]:
    """The bins of each column.

    Args:
        count: Of the rows.
        columns: How many there are.
        most: Bins of a column at most.
        cells: Counts that may be held at a time: of more columns some are found after others.
    """
    at_once = max(1, cells // most_cells(most))
    return tuple(
        _of_column(search)
        for first in range(0, columns, at_once)
        for search in _searched(count, slice(first, min(first + at_once, columns)), most)
    )


def _searched(count: Count, columns: slice, most: int) -> Sequence[ColumnSearch]:
    searches = [ColumnSearch(most=most)] * (columns.stop - columns.start)
    for _ in range(ROUNDS):
        searches = advanced(searches, count(searches, columns))
    return searches


def _of_column(search: ColumnSearch) -> ColumnBins:
    if not search.rows:
        return ColumnBins(edges=np.empty(0, np.float32), below=-_BEYOND, above=_BEYOND)
    values, largest = search.values()
    least, beyond = values[0], np.float32(_BEYOND)
    return ColumnBins(
        edges=values[1:],
        below=float(least - (abs(least) + beyond)),
        above=float(largest + (abs(largest) + beyond)),
    )


def numbered(x: NDArray[Any], bins: Sequence[ColumnBins]) -> NDArray[np.float32]:
    """The numbers of the bins of all values, [rows, columns]."""
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
