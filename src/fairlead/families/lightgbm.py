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
from fairlead.families.onnx_graph import (
    FEATURES,
    SIGMOID,
    SIGNED_SQUARE,
    SOFTPLUS,
    finished,
    output_name,
    scale,
    transform,
    trees_of,
)
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
_OF_CLASSES = {
    "binary",
    "cross_entropy",
    "multiclass",
    "multiclass_ova",
    "multiclassova",
    "ova",
    "ovr",
    "softmax",
    "xentropy",
}
"""Objectives that give probabilities, by all their names."""
_LOG_LINKED = {"gamma", "poisson", "tweedie"}
"""Objectives whose trees add up to a logarithm, which the converter knows."""
_LINKS = {"binary": SIGMOID, "cross_entropy": SIGMOID, "cross_entropy_lambda": SOFTPLUS}
"""What other objectives make of the trees' sum as amounts; of those not named, it is the amount."""
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

    def unexportable(self, params: Params, task: Task) -> str | None:
        """By its kind of trees, or by an objective that gives no probabilities."""
        if params.get("boosting_type") == "rf":
            return self._averaged
        if params.get("linear_tree") is True:
            return self._linear
        objective = params.get("objective")
        if task == "classification" and objective is not None and objective not in _OF_CLASSES:
            return self._no_probabilities(str(objective))
        return None

    @property
    def _averaged(self) -> str:
        return (
            f"{self.name}: with boosting_type 'rf' the trees are averaged, and the converter adds "
            "them; use the family 'random_forest'"
        )

    @property
    def _linear(self) -> str:
        return f"{self.name}: ONNX has no trees with linear_tree; leave it out"

    def _no_probabilities(self, objective: str) -> str:
        return (
            f"{self.name}: objective {objective!r} gives no probabilities of classes; leave it out"
        )

    def onnx(self, fitted: Fitted, *, width: int) -> bytes:
        """The model as onnxmltools converts it, with the links that it leaves out.

        Raises:
            Unexportable: It has none, or onnxmltools is known to convert it wrongly.
        """
        text = fitted.model.booster.model_to_string(num_iteration=-1)
        if "\naverage_output\n" in text:
            raise Unexportable(self._averaged)
        if "\nis_linear=1\n" in text:
            raise Unexportable(self._linear)
        objective = _objective(text)
        if fitted.classes is not None and objective.name not in _OF_CLASSES:
            raise Unexportable(self._no_probabilities(objective.name))
        booster = _convertible(text, objective, fitted)
        converted = converting(self.name, lambda: _convert(booster, width))
        source = output_name(converted, fitted, self.name)
        link = _link(converted, objective, fitted)
        return finished(converted, source, fitted, width=width, link=link)

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


@dataclass(frozen=True, kw_only=True)
class _Objective:
    """What the text of a model says of its objective: `objective=binary sigmoid:2`.

    Args:
        name: LightGBM's first name for it, whichever the spec has.
        options: Such as `sqrt`, `sigmoid:2` or `num_class:3`.
    """

    name: str
    options: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """As the model's text has it."""
        return " ".join((self.name, *self.options))

    @property
    def sigmoid(self) -> float:
        """What scores are multiplied by before the sigmoid."""
        given = [option.partition(":")[2] for option in self.options if "sigmoid:" in option]
        return float(given[0]) if given else 1.0


def _objective(text: str) -> _Objective:
    line = next(line for line in text.splitlines() if line.startswith("objective="))
    name, *options = line.removeprefix("objective=").split(" ")
    return _Objective(name=name, options=tuple(options))


def _convertible(text: str, objective: _Objective, fitted: Fitted) -> Any:
    """The model as one whose objective the converter knows and gives the right number of scores."""
    import lightgbm

    if fitted.classes is None and objective.name not in _LOG_LINKED:
        known = _Objective(name="regression")
    elif objective.name == "cross_entropy":
        known = _Objective(name="binary", options=("sigmoid:1",))
    else:
        known = objective
    text = text.replace(f"\nobjective={objective.text}\n", f"\nobjective={known.text}\n", 1)
    text = text.replace(f"\n[objective: {objective.name}]\n", f"\n[objective: {known.name}]\n", 1)
    return lightgbm.Booster(model_str=text)


def _link(converted: Any, objective: _Objective, fitted: Fitted) -> Sequence[str]:
    """Give the graph what the objective makes of the trees' sums, where the converter does not."""
    if objective.sigmoid != 1:
        scale(trees_of(converted), objective.sigmoid)
    if objective.name == "multiclassova":
        transform(trees_of(converted), "LOGISTIC")
    if fitted.classes is not None:
        return ()
    if "sqrt" in objective.options:
        return SIGNED_SQUARE
    return _LINKS.get(objective.name, ())


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


def _convert(booster: Any, width: int) -> Any:
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    types = [(FEATURES, FloatTensorType([None, width]))]
    return onnxmltools.convert_lightgbm(booster, initial_types=types, target_opset=15, zipmap=False)


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
