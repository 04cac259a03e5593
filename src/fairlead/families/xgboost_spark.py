"""XGBoost's fit of rows that are parted over the executors of Spark.

Each executor reads its part of the rows by itself and in blocks; the driver has none of them. In
mode exact the base score is found first, of the targets, and the cut points (xgboost_bins.py), by
counts that executors send of their parts. What is left to them is to add up gradients, float32
numbers in float64 sums: the trees are those of one process that has all rows. In mode allreduce
XGBoost finds all by itself, and the cut points of its sketch depend on which executor has which
rows.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fairlead.families import xgboost_batches
from fairlead.families.exact_quantiles import ColumnSearch, counted
from fairlead.families.family import Array, Batches, Matrix, PartedRows
from fairlead.families.parted_rows import PartReader, Parts
from fairlead.families.scikit import compacted
from fairlead.families.xgboost_bins import CELLS, ColumnBins, bins_of, numbered, with_values
from fairlead.records import Params

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from fairlead.families.exact_quantiles import Counts

_BINS = 256
"""XGBoost's default of max_bin."""
_TWO = 2
_LABEL, _FEATURES = "label", "features"
_BATCH = 4 << 20
"""Bytes of rows that pass from one process of an executor to another at a time."""
_OF_LEAVES = ("reg:absoluteerror", "reg:quantileerror")
"""Objectives whose leaves each process finds by its own rows, before they are averaged."""
_OF_ORDER = ("survival:cox",)
"""Objectives whose gradients follow from the order of all targets."""
_OF_COLUMNS = {"monotone_constraints", "interaction_constraints"}
"""Parameters that speak of columns by their number."""


@dataclass(frozen=True, kw_only=True)
class BoosterFit:
    """What is fitted.

    Args:
        x: [rows, columns].
        y: [rows], class indexes without gaps for a classifier.
        params: Of the booster.
        rounds: Of boosting.
        seen: The table's indexes of these classes; empty for regression.
    """

    x: Matrix
    y: Array
    params: Mapping[str, Any]
    rounds: int
    seen: tuple[int, ...] = ()


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
    if params.get("objective") in _OF_ORDER:
        return f"objective {params['objective']!r}, since each process orders its own rows alone"
    return None


def fit_of(estimator: Any, x: Matrix, y: Array, seen: tuple[int, ...]) -> BoosterFit:
    """What an estimator would fit, by parameters of the booster as XGBClassifier chooses them.

    Args:
        estimator: An XGBRegressor or XGBClassifier.
        x: [rows, columns].
        y: [rows].
        seen: The classes that there are in `y`; none for regression.
    """
    params = {
        name: value for name, value in estimator.get_xgb_params().items() if value is not None
    }
    params["nthread"] = params.pop("n_jobs", 1)
    if len(seen) > _TWO:
        softmax = params.get("objective") == "multi:softmax"
        params["objective"] = "multi:softmax" if softmax else "multi:softprob"
        params["num_class"] = len(seen)
    rounds = estimator.get_num_boosting_rounds()
    y = compacted(y, seen) if seen else y
    return BoosterFit(x=x, y=y, params=params, rounds=rounds, seen=seen)


Kept: TypeAlias = MutableMapping[int, Sequence[ColumnBins]]
"""The bins of these rows, by the most of a column: other fits of the same rows have them, too."""


def exact_booster(fit: BoosterFit, rows: PartedRows | None, workers: int, kept: Kept) -> bytes:
    """The booster whose trees do not depend on who has which rows, as JSON.

    Args:
        fit: What is fitted.
        rows: As executors of Spark have them; None for this process alone.
        workers: Executors that have parts of the rows.
        kept: What earlier fits found.
    """
    params = {"base_score": base_score(fit), **fit.params}
    fit = replace(fit, params=params)
    parts = None if rows is None else Parts.of(rows, len(fit.y), workers)
    most = int(params.get("max_bin") or _BINS)
    if most not in kept:
        kept[most] = _bins(fit, parts, most)
    bins = kept[most]
    return with_values(_fitted(fit, parts, bins), bins)


def booster(fit: BoosterFit, rows: PartedRows | None, workers: int, kept: Kept) -> bytes:  # noqa: ARG001 - as the other
    """The booster as XGBoost fits it, as JSON; arguments as for `exact_booster`."""
    return _fitted(fit, None if rows is None else Parts.of(rows, len(fit.y), workers), None)


def _fitted(fit: BoosterFit, parts: Parts | None, bins: Sequence[ColumnBins] | None) -> bytes:
    if parts is None:
        return _alone(fit, bins)
    parts.computed(parts.reader.is_readable)  # what XGBoost says of a fault names no host
    return _parted(fit, parts, bins)


def _bins(fit: BoosterFit, parts: Parts | None, most: int) -> Sequence[ColumnBins]:
    columns = fit.x.shape[1]
    if parts is None:
        return bins_of(partial(_counted_here, fit.x), columns, most)
    return bins_of(partial(_counted_there, parts), columns, most, cells=CELLS // parts.number)


def base_score(fit: BoosterFit) -> str:
    """What XGBoost estimates of the targets alone, as it writes it."""
    import xgboost

    zeros, few = np.zeros((len(fit.y), 1), np.float32), {"max_depth": 1, "max_bin": 2}
    nothing = xgboost.QuantileDMatrix(zeros, label=fit.y, max_bin=2)
    given = {name: value for name, value in fit.params.items() if name not in _OF_COLUMNS}
    booster = xgboost.train({**given, **few}, nothing, 1)
    return str(json.loads(booster.save_config())["learner"]["learner_model_param"]["base_score"])


def _counted_here(x: Matrix, searches: Sequence[ColumnSearch], columns: slice) -> Counts:
    return counted(x.blocks() if isinstance(x, Batches) else [x], searches, columns)


def _counted_there(parts: Parts, searches: Sequence[ColumnSearch], columns: slice) -> Counts:
    answers = parts.computed(partial(_counts, parts.reader, searches, columns))
    total: Counts = np.sum(answers, axis=0)
    return total


def _counts(
    reader: PartReader, searches: Sequence[ColumnSearch], columns: slice, part: int
) -> Counts:
    """In an executor: those of its rows."""
    x, _ = reader.part(part)
    return counted(x.blocks(), searches, columns)


def _alone(fit: BoosterFit, bins: Sequence[ColumnBins] | None) -> bytes:
    """This process fits it; of rows that are not in memory they are binned on disk."""
    import xgboost

    x = fit.x
    if isinstance(x, Batches):
        blocks = x.blocks if bins is None else partial(_numbered_blocks, x, bins)
        fitted = xgboost_batches.booster(blocks, fit.y, fit.params, fit.rounds)
        return xgboost_batches.as_json(fitted)
    rows = x if bins is None else numbered(x, bins)
    matrix = xgboost.DMatrix(rows, label=fit.y, nthread=fit.params.get("nthread"))
    return xgboost_batches.as_json(xgboost.train(dict(fit.params), matrix, fit.rounds))


def _numbered_blocks(x: Batches, bins: Sequence[ColumnBins]) -> Iterator[Array]:
    return (numbered(block, bins) for block in x.blocks())


# ---- executors


@dataclass(frozen=True, kw_only=True)
class _Records:
    """In an executor: its rows as Spark takes them, lists of numbers and targets.

    Args:
        reader: Of its rows.
        bins: What stands for values; None for these themselves.
        seen: The classes that targets are numbered by; empty for regression.
    """

    reader: PartReader
    bins: Sequence[ColumnBins] | None
    seen: tuple[int, ...]

    def __call__(self, numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in numbers:
            for part in batch.column(0).to_pylist():
                yield from self._of(part)

    def _of(self, part: int) -> Iterator[pa.RecordBatch]:
        x, y = self.reader.part(part)
        labels = compacted(y, self.seen) if self.seen else y
        at = 0
        for block in x.blocks():
            rows = (
                np.asarray(block, np.float32) if self.bins is None else numbered(block, self.bins)
            )
            for piece in _pieces(rows):
                yield _records(piece, labels[at : at + len(piece)])
                at += len(piece)


def _pieces(rows: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    at_once = max(1, _BATCH // (rows.itemsize * max(1, rows.shape[1])))
    return (rows[at : at + at_once] for at in range(0, len(rows), at_once))


def _records(rows: NDArray[np.float32], labels: Array) -> pa.RecordBatch:
    import pyarrow as pa

    offsets = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(rows.reshape(-1)))
    targets = pa.array(np.asarray(labels, np.float32))
    return pa.RecordBatch.from_arrays([lists, targets], names=[_FEATURES, _LABEL])


def _parted(fit: BoosterFit, parts: Parts, bins: Sequence[ColumnBins] | None) -> bytes:
    """Executors fit it together. Where one is lost Spark begins anew with another in its place."""
    from xgboost.spark import SparkXGBRegressor

    logging.getLogger("XGBoost-PySpark").setLevel(logging.WARNING)  # it tells of each round
    of_spark = {name: value for name, value in fit.params.items() if name != "nthread"}
    # By the regressor whatever the objective: the classifier would put one of its own in its place.
    estimator = SparkXGBRegressor(
        features_col=_FEATURES,
        label_col=_LABEL,
        num_workers=parts.number,
        launch_tracker_on_driver=False,  # so that a stage that is tried again has another
        n_estimators=fit.rounds,
        verbose=False,
        **of_spark,
    )
    records = _Records(reader=parts.reader, bins=bins, seen=fit.seen)
    schema = f"{_FEATURES} array<float>, {_LABEL} float"
    numbers = parts.session.range(0, parts.number, 1, parts.number)
    booster = estimator.fit(numbers.mapInArrow(records, schema)).get_booster()
    booster.feature_names = booster.feature_types = None
    return xgboost_batches.as_json(booster)
