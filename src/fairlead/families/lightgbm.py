"""LightGBM: LGBMRegressor and LGBMClassifier.

The fitted model is their booster, because that is what is saved, exported, and cut off at a number
of rounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairlead.errors import Corrupt, Unexportable
from fairlead.families.family import Array, Estimator, Fitted, Saved, Task
from fairlead.families.onnx_graph import FEATURES, finished
from fairlead.families.parameters import (
    FILES,
    ROUNDS,
    SAMPLED,
    SEED,
    SILENT,
    STOPPING,
    THREADS,
    Names,
    booster_names,
)
from fairlead.families.scikit import (
    Scikit,
    converting,
    loaded,
    refuse_missing_class,
    version,
    widened,
)
from fairlead.records import Params
from fairlead.spec.space import Range, Space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_RESERVED = {
    **dict.fromkeys(("n_jobs", "num_threads", "num_thread", "nthread", "nthreads"), THREADS),
    **dict.fromkeys(("random_state", "seed", "random_seed"), SEED),
    **dict.fromkeys(("verbose", "verbosity", "silent"), SILENT),
    **dict.fromkeys(("output_model", "snapshot_freq", "save_binary"), FILES),
    **dict.fromkeys(
        ("early_stopping_round", "early_stopping_rounds", "early_stopping", "n_iter_no_change"),
        STOPPING,
    ),
}
_OTHER_NAMES = {
    "n_estimators": (
        "num_iterations num_iteration n_iter num_tree num_trees num_round num_rounds nrounds "
        "num_boost_round max_iter iterations"
    ),
    "learning_rate": "eta shrinkage_rate",
    "num_leaves": "num_leaf max_leaf max_leaves max_leaf_nodes",
    "min_child_samples": "min_data_in_leaf min_data min_samples_leaf min_data_per_leaf",
    "min_child_weight": (
        "min_sum_hessian_in_leaf min_hessian min_sum_hessian min_sum_hessian_per_leaf"
    ),
    "min_split_gain": "min_gain_to_split",
    "reg_alpha": "lambda_l1 l1_regularization",
    "reg_lambda": "lambda_l2 lambda l2_regularization",
    "subsample": "bagging_fraction bagging sub_row",
    "subsample_freq": "bagging_freq",
    "colsample_bytree": "feature_fraction sub_feature",
    "feature_fraction_bynode": "colsample_bynode sub_feature_bynode",
    "subsample_for_bin": "bin_construct_sample_cnt",
    "boosting_type": "boosting boost",
    "objective": "app loss application objective_type",
    "max_bin": "max_bins",
    "extra_trees": "extra_tree",
    "linear_tree": "linear_trees",
    "is_unbalance": "unbalance unbalanced_sets",
    "max_delta_step": "max_tree_output max_leaf_output",
    "drop_rate": "rate_drop",
}
_ALIASES = {other: name for name, others in _OTHER_NAMES.items() for other in others.split()}
_NATIVE = (  # taken by the library in addition to its scikit-learn interface
    "alpha",
    "boost_from_average",
    "data_sample_strategy",
    "deterministic",
    "drop_rate",
    "enable_bundle",
    "extra_trees",
    "fair_c",
    "feature_fraction_bynode",
    "feature_pre_filter",
    "force_col_wise",
    "force_row_wise",
    "is_unbalance",
    "linear_lambda",
    "linear_tree",
    "max_bin",
    "max_delta_step",
    "max_drop",
    "min_data_in_bin",
    "neg_bagging_fraction",
    "num_grad_quant_bins",
    "other_rate",
    "path_smooth",
    "poisson_max_delta_step",
    "pos_bagging_fraction",
    "quant_train_renew_leaf",
    "reg_sqrt",
    "scale_pos_weight",
    "sigmoid",
    "skip_drop",
    "stochastic_rounding",
    "top_rate",
    "tweedie_variance_power",
    "uniform_drop",
    "use_missing",
    "use_quantized_grad",
    "xgboost_dart_mode",
    "zero_as_missing",
)
_SHARED = {  # under these a test proves every prefix equal to its own fit
    "boosting_type",
    "class_weight",
    "colsample_bytree",
    "data_sample_strategy",
    "extra_trees",
    "feature_fraction_bynode",
    "is_unbalance",
    "learning_rate",
    "max_bin",
    "max_delta_step",
    "max_depth",
    "min_child_samples",
    "min_child_weight",
    "min_data_in_bin",
    "min_split_gain",
    "n_estimators",
    "num_leaves",
    "objective",
    "other_rate",
    "path_smooth",
    "reg_alpha",
    "reg_lambda",
    "scale_pos_weight",
    "subsample",
    "subsample_for_bin",
    "subsample_freq",
    "top_rate",
}


@dataclass(frozen=True, kw_only=True)
class Boosted:
    """A booster and how it was fitted.

    Args:
        booster: LightGBM's own.
        lengths: Number of iterations it had after each round. A round that finds no split adds
            none, so that a round's number is not always the iteration's.
        threads: Of a prediction.
    """

    booster: Any
    lengths: tuple[int, ...] = ()
    threads: int = 1


@dataclass(frozen=True, kw_only=True)
class LightGBM(Scikit):
    """LGBMRegressor and LGBMClassifier; the fitted model is their booster."""

    def names(self, task: Task) -> Names:
        """Those of the scikit-learn interface, and the library's own without one there."""
        return booster_names(_class(task), native=_NATIVE, reserved=_RESERVED, aliases=_ALIASES)

    def space(self, task: Task) -> Space:  # noqa: ARG002 - the same for both
        """Rounds, learning rate, and the sampling of rows and columns."""
        return {
            **ROUNDS,
            "num_leaves": Range(low=7, high=255, log=True),
            "min_child_samples": Range(low=5, high=100, log=True),
            **SAMPLED,
            "subsample_freq": 1,  # without it LightGBM ignores subsample
            "reg_lambda": Range(low=0.001, high=10.0, log=True),
        }

    def versions(self) -> Mapping[str, str]:
        """The version of LightGBM."""
        return {"lightgbm": version(["lightgbm"])}

    def stage(self, params: Params) -> str | None:
        """The number of rounds, except for DART, which changes earlier rounds."""
        count = params.get("n_estimators")
        fit = params.keys() <= _SHARED and params.get("boosting_type", "gbdt") in {"gbdt", "goss"}
        return "n_estimators" if fit and type(count) is int and count > 0 else None

    def build(self, params: Params, task: Task, *, seed: int, threads: int) -> Estimator:
        """An unfitted estimator.

        With several threads LightGBM times two ways to build histograms and takes the faster; they
        differ in the last bit, so the choice must not be left to the machine's mood.
        """
        ways = {"force_col_wise", "force_row_wise", "deterministic"}
        settled = {} if threads == 1 or ways & params.keys() else {"force_col_wise": True}
        return _class(task)(**params, **settled, n_jobs=threads, random_state=seed, verbosity=-1)

    def train(self, estimator: Estimator, x: Array, y: Array) -> Boosted:
        """The booster, and its length after each round."""
        lengths: list[int] = []
        estimator.fit(
            x, y, callbacks=[lambda round_: lengths.append(round_.model.current_iteration())]
        )
        return Boosted(booster=estimator.booster_, lengths=tuple(lengths), threads=estimator.n_jobs)

    def values(self, model: Boosted, x: Array) -> Array:
        """Predictions [rows]."""
        return _predict(model, x, None)

    def probabilities(self, model: Boosted, x: Array) -> Array:
        """Probabilities [rows, classes seen]."""
        return _columns(_predict(model, x, None))

    def stages(self, fitted: Fitted, x: Array, at: Sequence[int]) -> Iterator[Array]:
        """Predictions of the first rounds."""
        model = fitted.model
        lengths = [model.lengths[count - 1] for count in at]
        if lengths[0] > 0 and adds_up(model.booster):
            yield from staged_sums(model.booster, x, lengths, threads=model.threads)
            return
        for length in lengths:
            predicted = _predict(model, x, length)
            yield predicted if fitted.classes is None else widened(_columns(predicted), fitted)

    def onnx(self, fitted: Fitted, *, width: int) -> bytes:
        """The model as onnxmltools converts it.

        Raises:
            Unexportable: It has none, or onnxmltools is known to convert it wrongly.
        """
        if _averages(fitted.model.booster):
            raise Unexportable(
                f"{self.name}: with boosting_type 'rf' the trees are averaged, and the converter "
                "adds them; use the family 'random_forest'"
            )
        converted = converting(self.name, lambda: _convert(fitted, width))
        source = converted.graph.output[0 if fitted.classes is None else 1].name
        return finished(converted, source, fitted, width=width)

    def save(self, fitted: Fitted) -> Saved:
        """The booster as text."""
        refuse_missing_class(self.name, fitted)
        text = fitted.model.booster.model_to_string(num_iteration=-1)
        return Saved(name="model.txt", content=text.encode())

    def load(self, saved: Saved, *, classes: int | None) -> Fitted:
        """What `save` wrote."""
        import lightgbm

        _refuse_cut_short(saved)
        try:
            booster = lightgbm.Booster(model_str=saved.content.decode())
        except (lightgbm.basic.LightGBMError, UnicodeDecodeError) as error:
            raise Corrupt(f"{saved.name}: LightGBM cannot read it: {error}") from error
        return loaded(Boosted(booster=booster), classes)


LIGHTGBM = LightGBM(name="lightgbm", library="lightgbm")


def _class(task: Task) -> Any:
    import lightgbm

    return lightgbm.LGBMRegressor if task == "regression" else lightgbm.LGBMClassifier


def _averages(booster: Any) -> bool:
    """Whether predictions are means over the trees and not sums."""
    return "\naverage_output\n" in booster.model_to_string(num_iteration=1)


def _refuse_cut_short(saved: Saved) -> None:
    """Refuse an incomplete model: LightGBM ends the whole process over one."""
    marks = (b"\nend of trees\n", b"\nend of parameters\n")
    if not saved.content.startswith(b"tree\n") or any(m not in saved.content for m in marks):
        raise Corrupt(f"{saved.name}: {len(saved.content)} bytes are not a LightGBM model")


def _predict(model: Boosted, x: Array, count: int | None) -> Array:
    predicted: Array = model.booster.predict(x, num_iteration=count, num_threads=model.threads)
    return predicted


def _columns(predicted: Array) -> Array:
    """Two columns from the one that a binary booster gives, as its scikit-learn interface does."""
    import numpy as np

    if predicted.ndim > 1:
        return predicted
    return np.vstack((1.0 - predicted, predicted)).transpose()


def _convert(fitted: Fitted, width: int) -> Any:
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    types = [(FEATURES, FloatTensorType([None, width]))]
    return onnxmltools.convert_lightgbm(
        fitted.model.booster, initial_types=types, target_opset=15, zipmap=False
    )


# ---- staged predictions -----------------------------------------------------------------------
#
# Predictions of a LightGBM booster cut off at several numbers of trees, in one pass.
#
# The pass finds the leaf of every row in every tree, and adds up the leaves' values in the order of
# the trees.


_ENTRIES = 1 << 22
"""Leaves that are in memory at a time: rows times trees."""


def adds_up(booster: Any) -> bool:
    """Whether a prediction is the plain sum of one leaf a tree: the default of regression."""
    return bool(
        booster.params.get("objective") == "regression" and booster.num_model_per_iteration() == 1
    )


def staged_sums(
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
