"""Which rows are held out, and the folds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

from fairlead.data.features import Features
from fairlead.data.split import folds, holdout, lacking
from fairlead.data.table import Table
from fairlead.errors import InvalidData, InvalidSpec
from fairlead.records import Column
from fairlead.spec.document import Holdout


def table(rows: int, *, target: Any = None, classes: tuple[str, ...] | None = None) -> Table:
    numbers = np.random.default_rng(7).normal(size=(5000, 3))[:rows]
    return Table(
        columns=tuple(Column(name=name, kind="number") for name in "abc"),
        features=Features(numbers=numbers, text=np.empty((rows, 0), np.int32)),
        target_name="y",
        target=np.arange(rows, dtype=float) if target is None else np.array(target),
        classes=classes,
        fingerprint="",
    )


@pytest.mark.parametrize("seed", [0, 42])
@pytest.mark.parametrize("share", [0.2, 0.33])
def test_random_gives_the_rows_of_train_test_split_in_its_order(seed: int, share: float) -> None:
    made = table(101)
    train, held = holdout(made, Holdout(share=share, by="random"), seed=seed)
    x, test, _, _ = train_test_split(
        made.features.numbers, made.target, test_size=share, random_state=seed
    )
    np.testing.assert_array_equal(made.features.numbers[train], x)
    np.testing.assert_array_equal(made.features.numbers[held], test)


def test_by_hash_a_row_keeps_its_side_as_the_data_grows() -> None:
    rule = Holdout(share=0.2, by="hash")
    _, before = holdout(table(1000), rule, seed=3)
    train, after = holdout(table(5000), rule, seed=3)
    np.testing.assert_array_equal(before, after[after < 1000])
    np.testing.assert_array_equal(np.sort(np.concatenate([train, after])), np.arange(5000))


def test_by_hash_the_share_is_about_kept_and_seeds_differ() -> None:
    rule = Holdout(share=0.2, by="hash")
    sides = [holdout(table(5000), rule, seed=seed)[1] for seed in range(5)]
    for held in sides:
        assert abs(len(held) - 1000) < 5 * np.sqrt(5000 * 0.2 * 0.8)
    shared = len(np.intersect1d(sides[0], sides[1]))
    assert abs(shared - 200) < 5 * np.sqrt(5000 * 0.04 * 0.96)


def test_by_hash_equal_rows_are_on_one_side() -> None:
    made = table(400)
    made.features.numbers[200:] = made.features.numbers[:200]
    _, held = holdout(made, Holdout(share=0.5), seed=1)
    assert {row + 200 for row in held.tolist() if row < 200} == {
        r for r in held.tolist() if r >= 200
    }


@pytest.mark.parametrize(("by", "share"), [("random", 0.999), ("hash", 0.001), ("hash", 0.999)])
def test_a_share_that_leaves_a_side_empty_is_refused(by: str, share: float) -> None:
    with pytest.raises(InvalidSpec, match=r"^data\.holdout: a share of .* change the share"):
        holdout(table(4), Holdout(share=share, by=by), seed=0)


def test_a_class_that_is_held_out_whole_is_named() -> None:
    made = table(50, target=[0] * 49 + [1], classes=("common", "rare"))
    seed = next(
        seed
        for seed in range(100)
        if 49 in train_test_split(range(50), test_size=0.2, random_state=seed)[1]
    )
    with pytest.raises(InvalidData, match="all rows of class 'rare' of 'y' are held out"):
        holdout(made, Holdout(by="random"), seed=seed)


def test_folds_of_amounts_are_those_of_kfold() -> None:
    y = np.arange(23.0)
    for made, expected in zip(folds(y, 4, classes=False), KFold(4).split(y), strict=True):
        np.testing.assert_array_equal(made[0], expected[0])
        np.testing.assert_array_equal(made[1], expected[1])


def test_folds_of_classes_are_those_of_stratified_kfold() -> None:
    y = np.array([0, 1, 1, 0, 2, 1, 0, 2, 2, 1, 0, 1])
    for made, expected in zip(
        folds(y, 3, classes=True), StratifiedKFold(3).split(y, y), strict=True
    ):
        np.testing.assert_array_equal(made[0], expected[0])
        np.testing.assert_array_equal(made[1], expected[1])


def test_more_folds_than_rows_are_refused() -> None:
    with pytest.raises(InvalidSpec, match=r"^search\.folds: 5 folds need as many .* not 4"):
        folds(np.arange(4.0), 5, classes=False)


def test_more_folds_than_the_smallest_class_are_refused() -> None:
    with pytest.raises(InvalidSpec, match=r"^search\.folds: 3 folds .* smallest class has 2"):
        folds(np.array([0, 0, 0, 0, 1, 1]), 3, classes=True)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(2, 30), min_size=2, max_size=8),
    st.floats(0.05, 0.95),
    st.integers(0, 1000),
)
def test_stratified_gives_the_rows_of_train_test_split_in_its_order(
    sizes: list[int], share: float, seed: int
) -> None:
    y = np.random.default_rng(seed).permutation(np.arange(len(sizes)).repeat(sizes))
    made = table(len(y), target=y, classes=tuple(map(str, range(len(sizes)))))
    rule = Holdout(share=share, by="random", stratify=True)
    try:
        theirs = train_test_split(np.arange(len(y)), test_size=share, stratify=y, random_state=seed)
    except ValueError:
        with pytest.raises(InvalidSpec, match=r"^data\.holdout"):
            holdout(made, rule, seed=seed)
        return
    if len(np.unique(y[theirs[0]])) < len(sizes):
        with pytest.raises(InvalidData, match="are held out"):
            holdout(made, rule, seed=seed)
        return
    for mine, expected in zip(holdout(made, rule, seed=seed), theirs, strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_stratified_wants_two_rows_of_each_class_and_a_place_on_both_sides_for_each() -> None:
    rule = Holdout(by="random", stratify=True)
    once = table(50, target=[0] * 49 + [1], classes=("common", "rare"))
    with pytest.raises(InvalidSpec, match=r"^data\.holdout\.stratify: class 'rare' of 'y' has 1"):
        holdout(once, rule, seed=0)
    many = table(20, target=np.arange(20) // 2, classes=tuple("abcdefghij"))
    with pytest.raises(InvalidSpec, match=r"holds 4 out, fewer than there are classes \(10\)"):
        holdout(many, rule, seed=0)
    with pytest.raises(InvalidSpec, match=r"^data\.holdout\.stratify: target 'y' is a number"):
        holdout(table(50), rule, seed=0)


def test_classes_without_a_row_are_named_in_their_order() -> None:
    assert lacking([0, 2, 2], ("a", "b", "c", "d")) == ("b", "d")
    assert lacking([], (1, 2)) == (1, 2)
    assert lacking([1.5, 2.5], None) == ()
