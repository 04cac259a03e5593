"""XGBoost: XGBRegressor and XGBClassifier.

A fitted model is saved as XGBoost's own JSON and exported by onnxmltools.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairlead.errors import Corrupt, Failed, Unexportable
from fairlead.families.family import (
    Array,
    Batches,
    Estimator,
    Fitted,
    Matrix,
    PartedRows,
    Saved,
    Task,
)
from fairlead.families.onnx_graph import (
    EXP,
    FEATURES,
    SIGMOID,
    finished,
    output_name,
    rebase,
    transform,
    trees_of,
)
from fairlead.families.parameters import (
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
    seen_in,
    version,
    widened,
)
from fairlead.records import Params, Scalar
from fairlead.spec.space import Range, Space

if TYPE_CHECKING:
    from fairlead.spec.document import Train

_RESERVED = {
    "n_jobs": THREADS,
    "nthread": THREADS,
    "random_state": SEED,
    "seed": SEED,
    "verbosity": SILENT,
    "silent": SILENT,
    "verbose": SILENT,
    "early_stopping_rounds": STOPPING,
    "callbacks": "a spec holds values only",
}
_ALIASES = {
    "num_boost_round": "n_estimators",
    "num_round": "n_estimators",
    "num_rounds": "n_estimators",
    "iterations": "n_estimators",
    "eta": "learning_rate",
    "min_split_loss": "gamma",
    "alpha": "reg_alpha",
    "lambda": "reg_lambda",
}
_NATIVE = (  # taken by the library in addition to its scikit-learn interface
    "feature_selector",
    "huber_slope",
    "max_cached_hist_node",
    "normalize_type",
    "one_drop",
    "quantile_alpha",
    "rate_drop",
    "sample_type",
    "skip_drop",
    "top_k",
    "tweedie_variance_power",
    "updater",
)
_SHARED = {  # under these a test proves every prefix equal to its own fit
    "base_score",
    "booster",
    "colsample_bylevel",
    "colsample_bynode",
    "colsample_bytree",
    "gamma",
    "grow_policy",
    "learning_rate",
    "max_bin",
    "max_delta_step",
    "max_depth",
    "max_leaves",
    "min_child_weight",
    "n_estimators",
    "num_parallel_tree",
    "objective",
    "reg_alpha",
    "reg_lambda",
    "scale_pos_weight",
    "subsample",
    "tree_method",
}
_OF_CLASSES = {
    "binary:hinge",
    "binary:logistic",
    "multi:softmax",
    "multi:softprob",
    "reg:logistic",
}
"""Objectives whose probabilities of two classes have an ONNX form; of more classes, XGBoost takes
multi:softprob in place of any other."""


@dataclass(frozen=True, kw_only=True)
class XGBoost(Scikit):
    """XGBRegressor and XGBClassifier."""

    def names(self, task: Task) -> Names:
        """Those of the scikit-learn interface, and the library's own without one there."""
        return booster_names(_class(task), native=_NATIVE, reserved=_RESERVED, aliases=_ALIASES)

    def space(self, task: Task) -> Space:  # noqa: ARG002 - the same for both
        """Rounds, learning rate, and the sampling of rows and columns."""
        return {
            **ROUNDS,
            "max_depth": Range(low=3, high=10),
            "min_child_weight": Range(low=1.0, high=20.0, log=True),
            **SAMPLED,
            "reg_lambda": Range(low=0.01, high=10.0, log=True),
        }

    def versions(self) -> Mapping[str, str]:
        """The version of XGBoost, whichever of its distributions is installed."""
        return {"xgboost": version(["xgboost", "xgboost-cpu"])}

    def stage(self, params: Params) -> str | None:
        """The number of rounds, unless the booster changes earlier ones (DART) or has no trees."""
        count = params.get("n_estimators")
        fit = params.keys() <= _SHARED and params.get("booster") in {None, "gbtree"}
        return "n_estimators" if fit and type(count) is int and count > 0 else None

    def whole(self, params: Params) -> str | None:
        """All but trees of histograms, and what no test has proved equal."""
        if params.get("booster") not in {None, "gbtree"}:
            return f"booster {params['booster']!r}"
        if params.get("tree_method") not in {None, "auto", "hist"}:
            return f"tree_method {params['tree_method']!r}"
        other = next((name for name in params if name not in _SHARED), None)
        return None if other is None else f"parameter {other!r}"

    def train(self, estimator: Estimator, x: Matrix, y: Array) -> Any:
        """The fitted object; of rows that are not in memory they are binned on disk."""
        if isinstance(x, Batches):
            from fairlead.families import xgboost_batches

            return xgboost_batches.train(estimator, x, y)
        return estimator.fit(x, y)

    def build(self, params: Params, task: Task, *, seed: int, threads: int) -> Estimator:
        """An unfitted estimator."""
        return _class(task)(**params, n_jobs=threads, random_state=seed, verbosity=0)

    def unparted(self, params: Params, train: Train) -> str | None:
        """Another number for a missing one; in mode exact, what depends on who has which rows."""
        if train.mode == "averaging":
            return "trees have no mean: use mode exact or allreduce"
        missing = params.get("missing")
        if isinstance(missing, (int, float)) and not math.isnan(missing):
            return (
                f"missing {missing!r}, a number to them: leave it out, and write none in the data"
            )
        from fairlead.families.xgboost_spark import row_dependence

        return row_dependence(params) if train.mode == "exact" else None

    def fit_parted(  # noqa: PLR0913 - as the Protocol has it
        self,
        estimator: Estimator,
        x: Matrix,
        y: Array,
        *,
        classes: int | None,
        train: Train,
        rows: PartedRows | None,
        kept: MutableMapping[Any, Any],
    ) -> Fitted:
        """The booster that executors of Spark fit together, or this process as they would."""
        from fairlead.families import xgboost_spark as parted

        if why := self.unparted(estimator.get_params(), train):
            raise Failed(f"{self.name}: processes cannot share a fit with {why}")
        seen = () if classes is None else seen_in(y)
        model = _class("regression" if classes is None else "classification")(
            **estimator.get_params()
        )
        fit = parted.fit_of(estimator, x, y, seen)
        shared = parted.exact_booster if train.mode == "exact" else parted.booster
        model.load_model(bytearray(shared(fit, rows, train.workers, kept)))
        return Fitted(model=model, classes=classes, seen=seen)

    def stages(self, fitted: Fitted, x: Array, at: Sequence[int]) -> Iterator[Array]:
        """Predictions of the first rounds."""
        for count in at:
            rounds = (0, count)
            if fitted.classes is None:
                yield fitted.model.predict(x, iteration_range=rounds)
            else:
                yield widened(fitted.model.predict_proba(x, iteration_range=rounds), fitted)

    def unexportable(self, params: Params, task: Task) -> str | None:
        """By its booster, or by an objective that gives no amounts, or no probabilities."""
        booster, objective = params.get("booster"), params.get("objective")
        return self._unlike_trees(str(booster or "gbtree")) or self._without_link(objective, task)

    def _unlike_trees(self, booster: str) -> str | None:
        """DART's trees have weights, which the converter drops."""
        if booster == "gbtree":
            return None
        return f"{self.name}: booster {booster!r} predicts something else in ONNX; use 'gbtree'"

    def _without_link(self, objective: Scalar, task: Task) -> str | None:
        if objective is None:
            return None
        if task == "regression" and objective == "binary:hinge":
            return f"{self.name}: objective {objective!r} has no ONNX form for amounts"
        if task == "classification" and objective not in _OF_CLASSES:
            return (
                f"{self.name}: with two classes, objective {objective!r} gives no probabilities; "
                "use 'binary:logistic'"
            )
        return None

    def onnx(self, fitted: Fitted, *, width: int) -> bytes:
        """The model as onnxmltools converts it, with the links that it leaves out.

        Raises:
            Unexportable: It has no ONNX form, or onnxmltools is known to convert it wrongly.
        """
        booster, objective = _kind(fitted.model)
        if why := self._unlike_trees(booster) or self._without_link(objective, fitted.task):
            raise Unexportable(why)
        converted = converting(self.name, lambda: _convert(fitted, width))
        source = output_name(converted, fitted, self.name)
        link = _link(converted, objective, fitted.task)
        return finished(converted, source, fitted, width=width, link=link)

    def save(self, fitted: Fitted) -> Saved:
        """The booster as JSON."""
        refuse_missing_class(self.name, fitted)
        content = bytes(fitted.model.get_booster().save_raw(raw_format="json"))
        return Saved(name="model.json", content=content)

    def load(self, saved: Saved, *, classes: int | None) -> Fitted:
        """What `save` wrote."""
        import xgboost

        task: Task = "regression" if classes is None else "classification"
        model = _class(task)(n_jobs=1, verbosity=0)
        try:
            json.loads(saved.content)  # XGBoost ends the whole process over invalid JSON
            model.load_model(bytearray(saved.content))
        except (xgboost.core.XGBoostError, ValueError, TypeError) as error:
            raise Corrupt(f"{saved.name}: XGBoost cannot read it: {error}") from error
        return loaded(model, classes)


XGBOOST = XGBoost(name="xgboost", library="xgboost")


def _class(task: Task) -> Any:
    import xgboost

    return xgboost.XGBRegressor if task == "regression" else xgboost.XGBClassifier


def _kind(model: Any) -> tuple[str, str]:
    """How the trees are combined, and what for: names of the booster and of the objective."""
    learner = json.loads(model.get_booster().save_config())["learner"]
    return str(learner["gradient_booster"]["name"]), str(learner["objective"]["name"])


def _link(converted: Any, objective: str, task: Task) -> Sequence[str]:
    """Give the graph what the objective makes of the trees' sum, where the converter does not.

    XGBoost keeps the base score as a prediction, and adds to the trees what the link makes it of.
    """
    if objective == "multi:softmax":
        transform(trees_of(converted), "SOFTMAX")
    elif task == "regression" and objective in {"reg:logistic", "binary:logistic"}:
        rebase(trees_of(converted), lambda share: math.log(share / (1 - share)))
        return SIGMOID
    elif objective == "survival:cox":
        rebase(trees_of(converted), math.log)
        return EXP
    return ()


def _convert(fitted: Fitted, width: int) -> Any:
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    types = [(FEATURES, FloatTensorType([None, width]))]
    return onnxmltools.convert_xgboost(fitted.model, initial_types=types, target_opset=15)
