"""XGBoost's fit of rows that are parted over the executors of Spark.

In mode exact the cut points (xgboost_bins.py) and the base score are found first, from all rows.
What is left to the executors is to add up gradients, float32 numbers in float64 sums: the trees are
those of one process that has all rows. In mode allreduce XGBoost finds all by itself, and the cut
points of its sketch depend on which executor has which rows.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairlead.families.xgboost_bins import bins_of, numbered, with_values
from fairlead.records import Params

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fairlead.families.family import Array

_BINS = 256
"""XGBoost's default of max_bin."""
_TWO = 2
_LABEL, _FEATURES = "label", "features"
_OF_LEAVES = ("reg:absoluteerror", "reg:quantileerror")
"""Objectives whose leaves each process finds by its own rows, before they are averaged."""


@dataclass(frozen=True, kw_only=True)
class PartedRows:
    """What is fitted.

    Args:
        x: [rows, columns].
        y: [rows], class indexes without gaps for a classifier.
        params: Of the booster.
        rounds: Of boosting.
    """

    x: Array
    y: Array
    params: Mapping[str, Any]
    rounds: int


def row_dependence(params: Params) -> str | None:
    """Why a fit with these parameters is not the same whoever has which rows; None where it is."""
    if params.get("booster") not in {None, "gbtree"}:
        return f"booster {params['booster']!r}: use 'gbtree'"
    if params.get("tree_method") not in {None, "auto", "hist"}:
        return f"tree_method {params['tree_method']!r}: use 'hist'"
    if params.get("subsample") not in {None, 1}:
        return f"subsample {params['subsample']!r}, since each process draws of its own rows: use 1"
    if params.get("objective") in _OF_LEAVES:
        return f"objective {params['objective']!r}, since each process finds leaves by its own rows"
    return None


def rows_of(estimator: Any, x: Array, y: Array, classes: int) -> PartedRows:
    """What an estimator would fit, by parameters of the booster as XGBClassifier chooses them.

    Args:
        estimator: An XGBRegressor or XGBClassifier.
        x: [rows, columns].
        y: [rows].
        classes: How many classes there are in `y`; 0 for regression.
    """
    params = {
        name: value for name, value in estimator.get_xgb_params().items() if value is not None
    }
    params["nthread"] = params.pop("n_jobs", 1)
    if classes > _TWO:
        softmax = params.get("objective") == "multi:softmax"
        params["objective"] = "multi:softmax" if softmax else "multi:softprob"
        params["num_class"] = classes
    return PartedRows(x=x, y=y, params=params, rounds=estimator.get_num_boosting_rounds())


def exact_booster(rows: PartedRows, spark: Any | None, workers: int) -> bytes:
    """The booster whose trees do not depend on who has which rows, as JSON.

    Args:
        rows: What is fitted.
        spark: The session of Spark; None for this process alone.
        workers: Executors that have parts of the rows.
    """
    params = {"base_score": base_score(rows), **rows.params}
    bins = bins_of(rows.x, int(params.get("max_bin") or _BINS))
    numbers = PartedRows(x=numbered(rows.x, bins), y=rows.y, params=params, rounds=rows.rounds)
    return with_values(booster(numbers, spark, workers), bins)


def booster(rows: PartedRows, spark: Any | None, workers: int) -> bytes:
    """The booster as XGBoost fits it, as JSON; arguments as for `exact_booster`."""
    return _alone(rows) if spark is None else _parted(rows, spark, workers)


def base_score(rows: PartedRows) -> str:
    """What XGBoost estimates of the targets alone, as it writes it."""
    import numpy as np
    import xgboost

    nothing = xgboost.DMatrix(np.zeros((len(rows.y), 1), np.float32), label=rows.y)
    booster = xgboost.train({**rows.params, "max_depth": 1}, nothing, 1)
    return str(json.loads(booster.save_config())["learner"]["learner_model_param"]["base_score"])


def _alone(rows: PartedRows) -> bytes:
    import xgboost

    matrix = xgboost.DMatrix(rows.x, label=rows.y, nthread=rows.params.get("nthread"))
    return _as_json(xgboost.train(dict(rows.params), matrix, rows.rounds))


def _parted(rows: PartedRows, spark: Any, workers: int) -> bytes:
    """Executors fit it together. Where one is lost Spark begins anew with another in its place."""
    from xgboost.spark import SparkXGBRegressor

    logging.getLogger("XGBoost-PySpark").setLevel(logging.WARNING)  # it tells of each round
    parts = min(workers, len(rows.y))
    of_spark = {name: value for name, value in rows.params.items() if name != "nthread"}
    # By the regressor whatever the objective: the classifier would put one of its own in its place.
    estimator = SparkXGBRegressor(
        features_col=_FEATURES,
        label_col=_LABEL,
        num_workers=parts,
        launch_tracker_on_driver=False,  # so that a stage that is tried again has another
        n_estimators=rows.rounds,
        verbose=False,
        **of_spark,
    )
    frame = spark.createDataFrame(_table(rows.x, rows.y)).repartition(parts)
    return _as_json(estimator.fit(frame).get_booster())


def _table(x: Array, y: Array) -> Any:
    """Rows as Spark takes them: a column of lists, and the targets."""
    import numpy as np
    import pyarrow as pa

    flat: NDArray[np.float32] = np.ascontiguousarray(x, np.float32).reshape(-1)
    offsets = np.arange(len(y) + 1, dtype=np.int64) * x.shape[1]
    lists = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(flat))
    return pa.table({_FEATURES: lists, _LABEL: pa.array(np.asarray(y, np.float32))})


def _as_json(booster: Any) -> bytes:
    booster.feature_names = booster.feature_types = None
    return bytes(booster.save_raw(raw_format="json"))
