"""Splitting rows: the holdout, and the folds of the training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fairlead.data.fingerprint import row_hashes
from fairlead.data.table import Table
from fairlead.errors import InvalidData, InvalidSpec
from fairlead.spec.document import Holdout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows: TypeAlias = NDArray[np.intp]

_FEWEST_TRAINED = 2  # as many folds are the fewest


def holdout(table: Table, holdout: Holdout, *, seed: int) -> tuple[Rows, Rows]:
    """Split the rows into those that are trained on and those that are held out.

    Args:
        table: The data.
        holdout: Its share, and by what: `random` gives the rows, in the order, of scikit-learn's
            train_test_split(test_size=share, random_state=seed); by `hash` a row's side follows
            from its values and the seed, so that it keeps its side as the data grows.
        seed: The spec's data.seed.

    Returns:
        Indexes of the training rows and of the holdout rows.

    Raises:
        InvalidSpec: A side has too few rows.
        InvalidData: A class has no training rows.
    """
    split = _random if holdout.by == "random" else _by_hash
    train, held = split(table, holdout.share, seed)
    _check_sides(train, held, holdout)
    _check_classes(table, train)
    return train, held


def folds(y: NDArray[Any], count: int, *, classes: bool) -> list[tuple[Rows, Rows]]:
    """Split training rows into folds as scikit-learn's KFold(count) or StratifiedKFold(count).

    Args:
        y: The target of the training rows.
        count: How many folds.
        classes: Whether the target's values are classes.

    Returns:
        For each fold the indexes (into y) of the rows to fit on and of those to score.

    Raises:
        InvalidSpec: There are more folds than rows, or than rows of the smallest class.
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    if count > len(y):
        raise InvalidSpec(f"search.folds: {count} folds need as many training rows, not {len(y)}")
    if not classes:
        return list(KFold(count).split(y))
    smallest = int(np.unique(y, return_counts=True)[1].min())
    if count > smallest:
        raise InvalidSpec(
            f"search.folds: {count} folds need as many training rows of every class; the smallest "
            f"class has {smallest}"
        )
    return list(StratifiedKFold(count).split(y, y))


def _random(table: Table, share: float, seed: int) -> tuple[Rows, Rows]:
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(table.features))
    try:
        train, held = train_test_split(rows, test_size=share, random_state=seed)
    except ValueError:  # it leaves no row to train on
        return rows[:0], rows
    return train, held


def _by_hash(table: Table, share: float, seed: int) -> tuple[Rows, Rows]:
    places = _places(row_hashes(table.features), seed)
    held = places < share
    return np.flatnonzero(~held), np.flatnonzero(held)


def _places(hashes: NDArray[np.uint64], seed: int) -> NDArray[np.float64]:
    """Where each row is in [0, 1): its hash and the seed through the finalizer of SplitMix64.

    Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    z = hashes + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _check_sides(train: Rows, held: Rows, holdout: Holdout) -> None:
    if len(train) < _FEWEST_TRAINED or not len(held):
        raise InvalidSpec(
            f"data.holdout: a share of {holdout.share:g} by {holdout.by} leaves {len(train)} of "
            f"{len(train) + len(held)} rows to train on and holds {len(held)} out; change the share"
        )


def _check_classes(table: Table, train: Rows) -> None:
    if table.classes is None:
        return
    counts = np.bincount(table.target[train].astype(np.int64), minlength=len(table.classes))
    if not counts.all():
        label = table.classes[int(counts.argmin())]
        raise InvalidData(
            f"data.holdout: all rows of class {label!r} of {table.target_name!r} are held out; "
            "change data.seed, or leave that class out of the file"
        )
