"""CatBoost: CatBoostRegressor and CatBoostClassifier.

CatBoost takes several names for one parameter, and writes models to files only.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fairlead.errors import Corrupt, InvalidSpec, Unexportable
from fairlead.families.family import Array, Estimator, Fitted, Saved, Task
from fairlead.families.onnx_graph import EXP, finished, transform, trees_of
from fairlead.families.parameters import FILES, SEED, SILENT, STOPPING, THREADS, Names
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

_RESERVED = {
    **dict.fromkeys(("thread_count", "n_jobs", "nthread"), THREADS),
    **dict.fromkeys(("random_seed", "random_state", "seed"), SEED),
    **dict.fromkeys(("verbose", "silent", "verbosity", "logging_level", "metric_period"), SILENT),
    **dict.fromkeys(
        (
            "allow_writing_files",
            "train_dir",
            "save_snapshot",
            "snapshot_file",
            "snapshot_interval",
            "name",
        ),
        FILES,
    ),
    **dict.fromkeys(
        (
            "early_stopping_rounds",
            "od_pval",
            "od_type",
            "od_wait",
            "use_best_model",
            "best_model_min_trees",
            "eval_fraction",
        ),
        STOPPING,
    ),
}
_ROUNDS = ("iterations", "n_estimators", "num_boost_round", "num_trees")
_RATES = ("learning_rate", "eta")
_SYNONYMS = (  # each group is one parameter, and CatBoost accepts any one of its names
    _ROUNDS,
    _RATES,
    ("depth", "max_depth"),
    ("l2_leaf_reg", "reg_lambda"),
    ("border_count", "max_bin"),
    ("rsm", "colsample_bylevel"),
    ("min_data_in_leaf", "min_child_samples"),
    ("max_leaves", "num_leaves"),
    ("loss_function", "objective"),
)
_LOSSES = _SYNONYMS[-1]
_LOG_LINKED = {"Poisson", "Tweedie"}
"""Losses whose trees add up to the logarithm of the prediction."""
_OF_SEVERAL = {"MultiQuantile", "RMSEWithUncertainty"}
"""Losses that give several amounts a row."""
_OF_LABELS = {"MultiLogloss", "MultiCrossEntropy"}
"""Losses that take each class for a label of its own."""
_SHARED = {  # under these a test proves every prefix equal to its own fit
    *_ROUNDS,
    *_RATES,
    "auto_class_weights",
    "bagging_temperature",
    "boosting_type",
    "bootstrap_type",
    "border_count",
    "colsample_bylevel",
    "depth",
    "grow_policy",
    "l2_leaf_reg",
    "leaf_estimation_iterations",
    "leaf_estimation_method",
    "loss_function",
    "max_bin",
    "max_depth",
    "max_leaves",
    "min_child_samples",
    "min_data_in_leaf",
    "num_leaves",
    "objective",
    "random_strength",
    "reg_lambda",
    "rsm",
    "score_function",
    "subsample",
}


@dataclass(frozen=True, kw_only=True)
class CatBoost(Scikit):
    """CatBoostRegressor and CatBoostClassifier."""

    def names(self, task: Task) -> Names:
        """Those of the constructor."""
        known = {*inspect.signature(_class(task).__init__).parameters} - {"self"}
        return Names(known=known, reserved=_RESERVED)

    def check(self, params: Params, task: Task) -> None:
        """Refuse unknown names, two names of one parameter, and losses that nothing can score."""
        super().check(params, task)
        for group in _SYNONYMS:
            given = [name for name in group if name in params]
            if len(given) > 1:
                raise InvalidSpec(
                    f"family {self.name!r}: {given[0]!r} and {given[1]!r} are one parameter: "
                    "give one of them"
                )
        if why := self._without_amount(_asked_loss(params)):
            raise InvalidSpec(why)

    def unexportable(self, params: Params, task: Task) -> str | None:  # noqa: ARG002 - the same for both
        """By a loss that gives more than an amount, or no probabilities of classes."""
        return self._without_form(_asked_loss(params))

    def _without_form(self, loss: str) -> str | None:
        if loss in _OF_LABELS:
            return (
                f"{self.name}: loss {loss!r} takes each class for a label of its own, which has no "
                "ONNX form; use 'Logloss' or 'MultiClass'"
            )
        return self._without_amount(loss)

    def _without_amount(self, loss: str) -> str | None:
        if loss not in _OF_SEVERAL:
            return None
        return (
            f"{self.name}: loss {loss!r} predicts several amounts for a row, where one is wanted; "
            "use 'RMSE' or 'Quantile:alpha=0.9'"
        )

    def space(self, task: Task) -> Space:  # noqa: ARG002 - the same for both
        """Rounds, learning rate, and regularisation."""
        return {
            "iterations": (100, 200, 300, 400, 500),
            "learning_rate": Range(low=0.01, high=0.3, log=True),
            "depth": Range(low=4, high=8),
            "l2_leaf_reg": Range(low=1.0, high=10.0, log=True),
            "random_strength": Range(low=0.1, high=10.0, log=True),
        }

    def versions(self) -> Mapping[str, str]:
        """The version of CatBoost."""
        return {"catboost": version(["catboost"])}

    def stage(self, params: Params) -> str | None:
        """The number of rounds by whichever name it has, where the learning rate is given.

        Without it CatBoost chooses a rate by the number of rounds.
        """
        rated = any(params.get(name) is not None for name in _RATES)
        rounds = [name for name in _ROUNDS if name in params]
        if not rated or len(rounds) != 1 or not params.keys() <= _SHARED:
            return None
        count = params[rounds[0]]
        return rounds[0] if type(count) is int and count > 0 else None

    def build(self, params: Params, task: Task, *, seed: int, threads: int) -> Estimator:
        """An unfitted estimator."""
        return _class(task)(
            **params,
            thread_count=threads,
            random_seed=seed,
            verbose=False,
            allow_writing_files=False,
        )

    def values(self, model: Any, x: Array) -> Array:
        """Predictions [rows]."""
        return _predict(model, x, None, 0)

    def probabilities(self, model: Any, x: Array) -> Array:
        """Probabilities [rows, classes seen]."""
        return _predict(model, x, len(model.classes_), 0)

    def stages(self, fitted: Fitted, x: Array, at: Sequence[int]) -> Iterator[Array]:
        """Predictions of the first rounds; fewer where CatBoost found nothing more to learn."""
        for count in at:
            end = min(count, fitted.model.tree_count_)
            predicted = _predict(fitted.model, x, fitted.classes, end)
            yield predicted if fitted.classes is None else widened(predicted, fitted)

    def onnx(self, fitted: Fitted, *, width: int) -> bytes:
        """The model as CatBoost converts it, with the links that it leaves out.

        Raises:
            Unexportable: It has no ONNX form, or CatBoost is known to convert it wrongly.
        """
        loss = _loss(fitted.model)
        if why := self._without_form(loss):
            raise Unexportable(why)
        converted = converting(self.name, lambda: _convert(fitted.model))
        if loss == "MultiClassOneVsAll":  # converted as if it were MultiClass
            transform(trees_of(converted), "LOGISTIC")
        link = EXP if loss in _LOG_LINKED else ()
        return finished(converted, _source(converted), fitted, width=width, link=link)

    def save(self, fitted: Fitted) -> Saved:
        """The model in CatBoost's own format."""
        refuse_missing_class(self.name, fitted)
        return Saved(name="model.cbm", content=_written(fitted.model, "cbm"))

    def load(self, saved: Saved, *, classes: int | None) -> Fitted:
        """What `save` wrote."""
        import catboost

        model = _class("regression" if classes is None else "classification")()
        _refuse_cut_short(saved)
        try:
            model.load_model(blob=saved.content)
        except (catboost.CatBoostError, ValueError) as error:
            raise Corrupt(f"{saved.name}: CatBoost cannot read it: {error}") from error
        return loaded(model, classes)


CATBOOST = CatBoost(name="catboost", library="catboost")


def _class(task: Task) -> Any:
    import catboost

    return catboost.CatBoostRegressor if task == "regression" else catboost.CatBoostClassifier


def _predict(model: Any, x: Array, classes: int | None, end: int) -> Array:
    """Predictions of the first `end` trees; 0 is all. By default, CatBoost uses every core.

    A model that was loaded gives scores where one that was fitted gives amounts, so what is wanted
    is said.
    """
    threads = model.get_param("thread_count") or 1
    if classes is not None:
        probabilities: Array = model.predict_proba(x, ntree_end=end, thread_count=threads)
        return probabilities
    wanted = "Exponent" if _loss(model) in _LOG_LINKED else None
    predicted: Array = model.predict(x, prediction_type=wanted, ntree_end=end, thread_count=threads)
    return predicted


def _loss(model: Any) -> str:
    """Name of the loss function, without its parameters."""
    return _named(model.get_all_params().get("loss_function"))


def _asked_loss(params: Params) -> str:
    """As `_loss`, of the parameters that it is given by."""
    return _named(next((params[name] for name in _LOSSES if name in params), None))


def _named(loss: object) -> str:
    return str(loss or "").partition(":")[0]


def _refuse_cut_short(saved: Saved) -> None:
    """Refuse an incomplete model: CatBoost reads beyond the end of its input.

    A model begins with CBM1 and, as a little-endian uint32, the length of what follows.
    """
    begin, length = saved.content[:4], int.from_bytes(saved.content[4:8], "little")
    if begin != b"CBM1" or len(saved.content) < 8 + length:
        raise Corrupt(f"{saved.name}: {len(saved.content)} bytes are not a CatBoost model")


def _written(model: Any, form: str) -> bytes:
    """The model as CatBoost writes it, which it does to a file only."""
    with TemporaryDirectory(prefix="fairlead-") as folder:
        path = Path(folder, "model")
        model.save_model(str(path), format=form)
        return path.read_bytes()


def _convert(model: Any) -> Any:
    import onnx

    return onnx.load_model_from_string(_written(model, "onnx"))


def _source(converted: Any) -> str:
    """The tensor of predictions, or that of probabilities before CatBoost turns it into maps."""
    last = converted.graph.node[-1]
    return str(last.input[0] if last.op_type == "ZipMap" else last.output[0])
