"""Splitting rows: the holdout, and the folds of the training rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fairlead.data.table import Table
from fairlead.errors import InvalidData, InvalidSpec
from fairlead.records import Scalar
from fairlead.spec.document import Holdout

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Rows: TypeAlias = NDArray[np.intp]

STRATIFYING = "set data.holdout: {by: random, stratify: true}"
_FEWEST_TRAINED = 2  # as many folds are the fewest


def holdout(table: Table, holdout: Holdout, *, seed: int) -> tuple[Rows, Rows]:
    """Split the rows into those that are trained on and those that are held out.

    Args:
        table: The data.
        holdout: Its share, and by what: `random` gives the rows, in the order, of scikit-learn's
            train_test_split(test_size=share, random_state=seed), and its `stratify` where that is
            asked for; by `hash` a row's side follows from its values and the seed, so that it
            keeps its side as the data grows.
        seed: The spec's data.seed.

    Returns:
        Indexes of the training rows and of the holdout rows.

    Raises:
        InvalidSpec: A side has too few rows, or what is to be stratified cannot be.
        InvalidData: A class has no training rows.
    """
    train, held = _split(table, holdout, seed)
    _check_sides(train, held, holdout)
    _check_classes(table, train, holdout)
    return train, held


def lacking(target: ArrayLike, classes: Sequence[Scalar] | None) -> tuple[Scalar, ...]:
    """The classes that none of these rows is of.

    Args:
        target: Of the rows: indexes into `classes`.
        classes: The table's; None for regression, which lacks none.
    """
    present = set(np.unique(target).tolist()) if classes else set()
    return tuple(label for index, label in enumerate(classes or ()) if index not in present)


def _split(table: Table, holdout: Holdout, seed: int) -> tuple[Rows, Rows]:
    if holdout.by == "hash":
        return _by_hash(table, holdout.share, seed)
    split = _stratified_random if holdout.stratify else _random
    return split(table, holdout.share, seed)


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
    if count > len(y):
        raise InvalidSpec(f"search.folds: {count} folds need as many training rows, not {len(y)}")
    if not classes:
        return _by_fold(np.arange(count).repeat(_sizes(len(y), count)), count)
    smallest = int(np.unique(y, return_counts=True)[1].min())
    if count > smallest:
        raise InvalidSpec(
            f"search.folds: {count} folds need as many training rows of every class; the smallest "
            f"class has {smallest}"
        )
    return _by_fold(_stratified(y, count), count)


def _by_fold(fold_of: Rows, count: int) -> list[tuple[Rows, Rows]]:
    """The rows outside and inside each fold, given the fold that each row is in."""
    return [
        (np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in range(count)
    ]


def _sizes(rows: int, count: int) -> NDArray[np.intp]:
    """Sizes of the folds: equal but for one row, the larger ones first."""
    return np.full(count, rows // count) + (np.arange(count) < rows % count)


def _stratified(y: NDArray[Any], count: int) -> Rows:
    """The fold that each row is in: every class is spread evenly, in the order of its rows.

    As scikit-learn's StratifiedKFold: classes are numbered by their first row; sorted by class, the
    rows are dealt to the folds one by one, which says how many of a class each fold has.
    """
    _, first, class_of = np.unique(y, return_index=True, return_inverse=True)
    class_of = first.argsort().argsort()[class_of]
    dealt = np.sort(class_of)
    shares = [np.bincount(dealt[fold::count], minlength=len(first)) for fold in range(count)]
    fold_of = np.empty(len(y), dtype=np.intp)
    for label, share in enumerate(np.transpose(shares)):
        fold_of[class_of == label] = np.arange(count).repeat(share)
    return fold_of


def _random(table: Table, share: float, seed: int) -> tuple[Rows, Rows]:
    """As scikit-learn's train_test_split: a permutation, of which the first rows are held out."""
    rows = len(table.features)
    held = math.ceil(share * rows)
    order = np.random.RandomState(seed).permutation(rows)
    return order[held:], order[:held]


def _stratified_random(table: Table, share: float, seed: int) -> tuple[Rows, Rows]:
    """As scikit-learn's train_test_split with `stratify`, whose draws these are, in their order."""
    rows = len(table.features)
    sizes = rows - math.ceil(share * rows), math.ceil(share * rows)
    counts = _countable(table, sizes, share)
    draw = np.random.RandomState(seed)
    trained = _dealt(counts, sizes[0], draw)
    held = _dealt(counts - trained, sizes[1], draw)
    of_class = np.split(np.argsort(table.target, kind="stable"), counts.cumsum()[:-1])
    mixed = [draw.permutation(own) for own in of_class]
    parts = list(zip(mixed, trained, trained + held, strict=True))
    train = draw.permutation(np.concatenate([own[:first] for own, first, _ in parts]))
    return train, draw.permutation(np.concatenate([own[first:last] for own, first, last in parts]))


def _countable(table: Table, sizes: tuple[int, int], share: float) -> NDArray[np.int64]:
    """Rows of each class, of which each side can have one."""
    if table.classes is None:
        raise InvalidSpec(
            f"data.holdout.stratify: target {table.target_name!r} is a number, and has no classes; "
            "leave stratify out, or set data.task: classification"
        )
    counts: NDArray[np.int64] = np.bincount(
        table.target.astype(np.int64), minlength=len(table.classes)
    )
    if counts.min() < len(sizes):
        label = table.classes[int(counts.argmin())]
        raise InvalidSpec(
            f"data.holdout.stratify: class {label!r} of {table.target_name!r} has 1 row, and both "
            "sides need one; add rows of it, or leave it out of the file"
        )
    if min(sizes) < len(counts):
        raise InvalidSpec(
            f"data.holdout.stratify: a share of {share:g} leaves {sizes[0]} rows to train on and "
            f"holds {sizes[1]} out, fewer than there are classes ({len(counts)}); change the share"
        )
    return counts


def _dealt(counts: NDArray[np.int64], rows: int, draw: np.random.RandomState) -> Rows:
    """So many rows dealt to the classes by their size; what is left over by the largest fraction.

    As scikit-learn's `_approximate_mode`, which draws among equal fractions.
    """
    exact = counts / counts.sum() * rows
    dealt: Rows = np.floor(exact).astype(np.intp)
    fractions = exact - dealt
    for fraction in np.unique(fractions)[::-1]:
        (equal,) = np.nonzero(fractions == fraction)
        left = min(len(equal), rows - dealt.sum())
        if not left:
            break
        dealt[draw.choice(equal, size=left, replace=False)] += 1
    return dealt


def _by_hash(table: Table, share: float, seed: int) -> tuple[Rows, Rows]:
    places = _places(table.row_hashes, seed)
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


def _check_classes(table: Table, train: Rows, holdout: Holdout) -> None:
    if missing := lacking(table.target[train], table.classes):
        raise InvalidData(
            f"data.holdout: all rows of class {missing[0]!r} of {table.target_name!r} are held "
            f"out; {'lower the share' if holdout.stratify else STRATIFYING}, change data.seed, or "
            "leave that class out of the file"
        )
