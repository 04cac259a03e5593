"""XGBoost as processes share its fits: the same trees whoever has which rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fairlead.data import features
from fairlead.data.features import FeatureRows, Features
from fairlead.errors import Failed
from fairlead.families import xgboost_spark
from fairlead.families.family import Fitted, Partitioned, Task
from fairlead.families.xgboost import XGBOOST
from fairlead.records import Params
from fairlead.spec.document import Train
from fairlead.training.prepare import UNPREPARED, PreparedRows

EXACT = Train.model_validate({})
TASKS: tuple[tuple[Task, int | None], ...] = (
    ("regression", None),
    ("classification", 2),
    ("classification", 3),
)


def rows(classes: int | None, *, levels: int | None = None) -> tuple[Any, Any]:
    drawn = np.random.default_rng(0)
    x = drawn.standard_normal((600, 5))
    if levels is not None:
        x = np.round(x * levels / 6) / 10
    signal = x[:, 0] * 2 + np.sin(3 * x[:, 1]) + x[:, 2] * x[:, 3] + drawn.standard_normal(600)
    x[drawn.random(x.shape) < 0.05] = np.nan
    if classes is None:
        return x, signal
    return x, np.digitize(signal, np.quantile(signal, np.arange(1, classes) / classes))


def fitted(
    task: Task, classes: int | None, x: Any, y: Any, params: Params | None = None
) -> tuple[Fitted, Fitted]:
    """As processes share it, and as one fits by itself."""
    given = {"n_estimators": 30, "max_depth": 4, **(params or {})}
    shared, alone = (XGBOOST.build(given, task, seed=3, threads=1) for _ in range(2))
    return (
        XGBOOST.fit_parted(shared, x, y, classes=classes, train=EXACT, rows=None, kept={}),
        XGBOOST.fit(alone, x, y, classes=classes),
    )


def test_xgboost_is_a_family_whose_rows_can_be_parted() -> None:
    assert isinstance(XGBOOST, Partitioned)


@pytest.mark.parametrize(("task", "classes"), TASKS)
def test_columns_of_few_values_give_the_trees_that_one_process_has_by_itself(
    task: Task, classes: int | None
) -> None:
    x, y = rows(classes, levels=120)
    shared, alone = fitted(task, classes, x, y)
    assert XGBOOST.predict(shared, x).tobytes() == XGBOOST.predict(alone, x).tobytes()
    for one, other in zip(
        XGBOOST.stages(shared, x, [1, 10]), XGBOOST.stages(alone, x, [1, 10]), strict=True
    ):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize(("task", "classes"), TASKS)
def test_columns_of_more_values_give_other_trees_that_are_no_worse(
    task: Task, classes: int | None
) -> None:
    x, y = rows(classes)
    shared, alone = fitted(task, classes, x, y)
    ours, theirs = XGBOOST.predict(shared, x), XGBOOST.predict(alone, x)
    assert ours.shape == theirs.shape
    if classes is None:
        assert np.mean((ours - y) ** 2) <= 1.1 * np.mean((theirs - y) ** 2)
    else:
        right = (ours.argmax(axis=1) == y).mean()
        assert right >= (theirs.argmax(axis=1) == y).mean() - 0.03


@pytest.mark.parametrize(("task", "classes"), TASKS)
def test_the_model_is_saved_loaded_and_exported_as_any_other(
    task: Task, classes: int | None
) -> None:
    import onnxruntime

    x, y = rows(classes)
    shared, _ = fitted(task, classes, x, y)
    again = XGBOOST.load(XGBOOST.save(shared), classes=classes)
    assert XGBOOST.predict(again, x).tobytes() == XGBOOST.predict(shared, x).tobytes()
    session = onnxruntime.InferenceSession(XGBOOST.onnx(shared, width=5))
    present = np.float32(np.nan_to_num(x))
    (exported,) = session.run(None, {"features": present})
    assert np.allclose(exported, XGBOOST.predict(shared, present), atol=1e-5)


@pytest.mark.parametrize(("task", "classes"), TASKS)
def test_rows_that_are_not_in_memory_give_the_same_model(
    task: Task, classes: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = rows(classes)
    monkeypatch.setattr(features, "BLOCK", 4000)
    numbers = Features(numbers=x, text=np.empty((len(x), 0), np.int32))
    given = FeatureRows(features=numbers, rows=np.arange(len(x)))
    on_disk = PreparedRows(preparation=UNPREPARED, rows=given)
    assert len([*on_disk.blocks()]) > 5
    one, other = (
        XGBOOST.save(fitted(task, classes, given, y)[0]).content for given in (x, on_disk)
    )
    assert one == other


def test_trials_of_the_same_rows_share_their_cut_points(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = rows(None)
    counted: list[int] = []
    bins_of = xgboost_spark.bins_of

    def counting(*given: Any, **more: Any) -> Any:
        counted.append(given[2])
        return bins_of(*given, **more)

    monkeypatch.setattr(xgboost_spark, "bins_of", counting)
    kept: dict[Any, Any] = {}
    models = [
        XGBOOST.save(
            XGBOOST.fit_parted(
                XGBOOST.build(params, "regression", seed=3, threads=1),
                x,
                y,
                classes=None,
                train=EXACT,
                rows=None,
                kept=kept,
            )
        ).content
        for params in ({"max_depth": 2}, {"max_depth": 3}, {"max_bin": 16}, {"max_depth": 2})
    ]
    assert counted == [256, 16]
    assert models[0] == models[3]


def test_rows_that_lack_a_class_are_fitted_without_it() -> None:
    x, y = rows(3)
    lacking = y != 1
    shared, _ = fitted("classification", 3, x[lacking], y[lacking])
    assert shared.seen == (0, 2)
    assert (XGBOOST.predict(shared, x)[:, 1] == 0).all()


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"subsample": 0.5}, "subsample 0.5, since each process draws of its own rows: use 1"),
        ({"booster": "dart"}, "booster 'dart': use 'gbtree'"),
        ({"tree_method": "approx"}, "tree_method 'approx': use 'hist'"),
        ({"objective": "reg:absoluteerror"}, "since each process finds leaves by its own rows"),
        ({"objective": "survival:cox"}, "since each process orders its own rows alone"),
    ],
)
def test_what_depends_on_who_has_which_rows_is_refused(params: Params, said: str) -> None:
    why = XGBOOST.unparted(params, EXACT)
    assert why is not None
    assert said in why
    assert XGBOOST.unparted(params, Train.model_validate({"mode": "allreduce"})) is None
    with pytest.raises(Failed, match="xgboost: processes cannot share a fit with"):
        fitted("regression", None, *rows(None), params)


@pytest.mark.parametrize("mode", ["exact", "allreduce"])
def test_a_number_that_stands_for_a_missing_one_is_refused(mode: str) -> None:
    """XGBoost on Spark is told of it elsewhere: trees would split at it, and predict without."""
    train, x, y = Train.model_validate({"mode": mode}), *rows(None)
    assert XGBOOST.unparted({"missing": np.nan}, train) is None
    assert "missing -999" in (XGBOOST.unparted({"missing": -999}, train) or "")
    estimator = XGBOOST.build({"missing": -999.0}, "regression", seed=3, threads=1)
    with pytest.raises(Failed, match=r"missing -999\.0"):
        XGBOOST.fit_parted(estimator, x, y, classes=None, train=train, rows=None, kept={})


@pytest.mark.parametrize(
    "params",
    [{"monotone_constraints": "(1,1,0,0,-1)"}, {"interaction_constraints": "[[0, 1], [2, 3]]"}],
)
def test_constraints_on_columns_are_those_of_one_process(params: Params) -> None:
    x, y = rows(None, levels=120)
    shared, alone = fitted("regression", None, x, y, params)
    assert XGBOOST.predict(shared, x).tobytes() == XGBOOST.predict(alone, x).tobytes()


def test_trees_have_no_mean() -> None:
    assert XGBOOST.unparted({}, Train.model_validate({"mode": "averaging"})) is not None
