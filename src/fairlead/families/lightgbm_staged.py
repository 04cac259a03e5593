"""Predictions of a LightGBM booster cut off at several numbers of trees, in one pass.

The pass finds the leaf of every row in every tree, and adds up the leaves' values in the order of
the trees.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ENTRIES = 1 << 22
"""Leaves that are in memory at a time: rows times trees."""


def adds_up(booster: Any) -> bool:
    """Whether a prediction is the plain sum of one leaf a tree: the default of regression."""
    return bool(
        booster.params.get("objective") == "regression" and booster.num_model_per_iteration() == 1
    )


def sums(
    booster: Any, x: NDArray[np.float64], at: Sequence[int], *, threads: int
) -> Iterator[NDArray[np.float64]]:
    """Predictions [rows] of the first trees, for each of these numbers of them.

    LightGBM's own predictions to the last bit: it adds the same leaves in the same order (a test
    holds it). Asked for each number by itself, it walks through the first trees again each time.

    Args:
        booster: One that `adds_up`.
        x: The rows.
        at: Numbers of trees, from 1, rising (one may come several times).
        threads: Of the walk.
    """
    import numpy as np

    trees = max(at)
    totals = np.zeros((len(at), len(x)))
    step = max(1, _ENTRIES // trees)
    for first in range(0, len(x), step):
        rows = slice(first, first + step)
        leaves = booster.predict(
            x[rows], num_iteration=trees, pred_leaf=True, num_threads=threads
        ).reshape(-1, trees)
        _add_up(booster, leaves, at, totals[:, rows])
    return iter(totals)


def _add_up(
    booster: Any, leaves: NDArray[np.int32], at: Sequence[int], into: NDArray[np.float64]
) -> None:
    import numpy as np

    total, done = np.zeros(len(leaves)), 0
    for kept, trees in zip(into, at, strict=True):
        for tree in range(done, trees):
            reached = leaves[:, tree]
            outputs = [booster.get_leaf_output(tree, leaf) for leaf in range(reached.max() + 1)]
            total += np.array(outputs)[reached]
        kept[:], done = total, trees
