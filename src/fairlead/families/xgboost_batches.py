"""XGBoost on rows that are not in memory: its external memory.

Rows are given to it in blocks, twice: it finds the cut points of each column, and bins the cells by
these. The bins, mostly a byte for each cell and again as much by columns, lie on disk and are read
once for each level of a tree. Cut points and sums come about in the order of the rows, whatever the
blocks, so that one thread makes the very model that it makes of an array (a test holds it).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from fairlead.data.scratch import Scratch
from fairlead.families.family import Array, Batches, Estimator
from fairlead.records import Params

if TYPE_CHECKING:
    import xgboost

_TWO = 2


Blocks: TypeAlias = Callable[[], Iterator[Array]]
"""All rows in order, some at a time."""


def train(estimator: Estimator, x: Batches, y: Array) -> Any:
    """The estimator, fitted as its own `fit` does.

    Args:
        estimator: Of XGBoost's interface of scikit-learn.
        x: The rows.
        y: Their targets; classes are numbered from 0 without gaps.
    """
    import xgboost

    params = estimator.get_xgb_params()
    if isinstance(estimator, xgboost.XGBClassifier):
        params |= _of_classes(params, int(y.max()) + 1)
    rounds = estimator.get_num_boosting_rounds()
    with xgboost.config_context(verbosity=estimator.verbosity):
        estimator.load_model(bytearray(as_json(booster(x.blocks, y, params, rounds))))
    return estimator


def booster(blocks: Blocks, y: Array, params: Params, rounds: int) -> Any:
    """The booster of these rows, which are binned on disk.

    Args:
        blocks: The rows.
        y: Their targets.
        params: Of the booster.
        rounds: Of boosting.
    """
    import xgboost

    scratch = Scratch(Path(tempfile.gettempdir(), f"fairlead-bins-{os.getuid()}"))
    binned = xgboost.ExtMemQuantileDMatrix(
        _iterator(blocks, y, str(scratch.folder / "bins")),
        nthread=params.get("n_jobs", params.get("nthread")),
        max_bin=params.get("max_bin"),
    )
    fitted = xgboost.train(dict(params), binned, rounds)
    del binned  # which has the files of the folder open
    return fitted


def as_json(booster: Any) -> bytes:
    """A booster as XGBoost saves it."""
    return bytes(booster.save_raw(raw_format="json"))


def _of_classes(params: dict[str, Any], count: int) -> dict[str, Any]:
    """What XGBClassifier makes of its objective by the number of classes."""
    if count <= _TWO:
        return {}
    objective = params.get("objective")
    return {
        "objective": objective if objective == "multi:softmax" else "multi:softprob",
        "num_class": count,
    }


def _iterator(blocks: Blocks, y: Array, prefix: str) -> xgboost.DataIter:
    import xgboost

    class Rows(xgboost.DataIter):  # type: ignore[misc] # it carries no types
        """The rows, as XGBoost asks for them."""

        def __init__(self) -> None:
            super().__init__(cache_prefix=prefix, release_data=True)
            self._blocks: Iterator[Array] = iter(())
            self._at = 0

        def reset(self) -> None:
            """Begin anew."""
            self._blocks, self._at = blocks(), 0

        def next(self, input_data: Callable[..., object]) -> bool:
            """Give the next block; False where there is none."""
            block = next(self._blocks, None)
            if block is None:
                return False
            input_data(data=block, label=y[self._at : self._at + len(block)])
            self._at += len(block)
            return True

    return Rows()
