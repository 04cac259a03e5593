"""Families of estimators that keep scikit-learn's interface.

`Scikit` has what is the same for all of them; a family overrides how its estimator is built, and
where it is better served by its own library, how it is fitted, exported and saved. A classifier is
fitted on the classes that its rows hold, renumbered without gaps; its predictions get columns of
zeros for the others.
"""

from __future__ import annotations

import copy
import importlib.metadata
import inspect
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from fairlead.errors import InvalidData, InvalidSpec, Unexportable
from fairlead.families import skops_format
from fairlead.families.family import Array, Estimator, Fitted, Saved, Task
from fairlead.families.onnx_graph import FEATURES, ML_OPSET, OPSET, finished
from fairlead.families.parameters import Names, refuse_unknown
from fairlead.probabilities import within_bounds
from fairlead.records import Params
from fairlead.spec.space import Space

_ADVICE = "use an estimator of scikit-learn"
_SENTENCE = 240  # characters of another library's message that are passed on


@dataclass(frozen=True, kw_only=True)
class Scikit(ABC):
    """A family of estimators that keep scikit-learn's interface.

    Args:
        name: As the spec writes it.
        library: The library it needs in addition to scikit-learn, by its import name.
    """

    name: str
    library: str | None = None

    @abstractmethod
    def names(self, task: Task) -> Names:
        """The names of its parameters."""

    @abstractmethod
    def space(self, task: Task) -> Space:
        """What is searched where the spec names no parameters."""

    @abstractmethod
    def build(self, params: Params, task: Task, *, seed: int, threads: int) -> Estimator:
        """An unfitted estimator."""

    def needed(self) -> frozenset[str]:
        """None: an estimator has a default for every parameter."""
        return frozenset()

    def check(self, params: Params, task: Task) -> None:
        """Refuse names that the estimator does not have, and values that scikit-learn refuses."""
        refuse_unknown(self.name, params, self.names(task))
        refuse_values(self.name, self.build(params, task, seed=0, threads=1))

    def unexportable(self, params: Params, task: Task) -> str | None:  # noqa: ARG002 - as the Protocol has it
        """None: no reason is known before a fit."""
        return None

    def versions(self) -> Mapping[str, str]:
        """The version of scikit-learn."""
        return {"scikit-learn": version(["scikit-learn"])}

    def canonical(self, params: Params) -> Params:
        """The parameters as they are."""
        return params

    def stage(self, params: Params) -> str | None:  # noqa: ARG002 - as the Protocol has it
        """None: every trial is a fit of its own."""
        return None

    def fit(self, estimator: Estimator, x: Array, y: Array, *, classes: int | None) -> Fitted:
        """The estimator, fitted on these rows; they may lack a class of the table."""
        if classes is None:
            return Fitted(model=self.train(estimator, x, y))
        seen = seen_in(y)
        model = self.train(estimator, x, compacted(y, seen))
        return Fitted(model=model, classes=classes, seen=seen)

    def train(self, estimator: Estimator, x: Array, y: Array) -> Any:
        """The fitted object; `y` has every class from 0 to its largest."""
        return estimator.fit(x, y)

    def predict(self, fitted: Fitted, x: Array) -> Array:
        """Predictions for these rows."""
        if fitted.classes is None:
            return self.values(fitted.model, x)
        return widened(self.probabilities(fitted.model, x), fitted)

    def values(self, model: Any, x: Array) -> Array:
        """Predictions [rows] of a regressor."""
        predicted: Array = model.predict(x).reshape(-1)
        return predicted

    def probabilities(self, model: Any, x: Array) -> Array:
        """Probabilities [rows, classes seen] of a classifier."""
        predicted: Array = model.predict_proba(x)
        return predicted

    def stages(self, fitted: Fitted, x: Array, at: Sequence[int]) -> Iterator[Array]:
        """Not for a family whose `stage` is None."""
        raise NotImplementedError(f"family {self.name!r} shares no fits")

    def onnx(self, fitted: Fitted, *, width: int) -> bytes:
        """The model as skl2onnx converts it."""
        if why := unknown_to_onnx(self.name, fitted.model):
            raise Unexportable(why)
        converted = converting(self.name, lambda: _skl2onnx(fitted, width))
        source = converted.graph.output[0 if fitted.classes is None else 1].name
        return finished(converted, source, fitted, width=width)

    def save(self, fitted: Fitted) -> Saved:
        """The model in skops' format."""
        refuse_missing_class(self.name, fitted)
        return Saved(name="model.skops", content=skops_format.dumps(fitted.model, self.trusted()))

    def load(self, saved: Saved, *, classes: int | None) -> Fitted:
        """What `save` wrote."""
        return loaded(skops_format.loads(saved.content, self.trusted()), classes)

    def trusted(self) -> frozenset[str]:
        """Types that a saved model may contain in addition to scikit-learn's own."""
        return frozenset()


def version(distributions: Sequence[str]) -> str:
    """Version of the first of these distributions that is installed; 'unknown' if none is."""
    for name in distributions:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown"


def seen_in(y: Array) -> tuple[int, ...]:
    """The class indexes that these rows hold, in rising order.

    Raises:
        InvalidData: There is one class only.
    """
    import numpy as np

    seen = tuple(int(label) for label in np.unique(y))
    if len(seen) == 1:
        raise InvalidData(
            f"all {len(y)} training rows are of class number {seen[0]}: a classifier needs two "
            "classes; use fewer folds, or more rows"
        )
    return seen


def compacted(y: Array, seen: tuple[int, ...]) -> Array:
    """Class indexes renumbered from 0 without gaps, as XGBoost requires."""
    import numpy as np

    return np.searchsorted(np.asarray(seen), y)


def widened(probabilities: Array, fitted: Fitted) -> Array:
    """Probabilities, rounded within bounds, with a column for every class of the table.

    It holds 0 for a class that was never seen.
    """
    import numpy as np

    probabilities = within_bounds(probabilities)
    if len(fitted.seen) == fitted.classes:
        return probabilities
    wide = np.zeros((len(probabilities), fitted.classes or 0), probabilities.dtype)
    wide[:, fitted.seen] = probabilities
    return wide


def loaded(model: Any, classes: int | None) -> Fitted:
    """A saved model, which has seen every class."""
    return Fitted(model=model, classes=classes, seen=tuple(range(classes or 0)))


def refuse_missing_class(family: str, fitted: Fitted) -> None:
    """Refuse to save a model that does not know every class: no format stores which it knows.

    Raises:
        Unexportable: It does not.
    """
    missing = sorted(set(range(fitted.classes or 0)) - set(fitted.seen))
    if missing:
        raise Unexportable(
            f"{family} model: its training rows held no row of class number {missing[0]}, which "
            "its own format cannot tell; add rows of that class"
        )


def refuse_values(family: str, estimator: Estimator) -> None:
    """Refuse values that scikit-learn would refuse once a fit begins.

    Raises:
        InvalidSpec: Names it, and what it may be.
    """
    if not hasattr(estimator, "_parameter_constraints"):
        return
    try:
        estimator._validate_params()  # noqa: SLF001 - scikit-learn has no public name for it
    except ValueError as error:
        text = " ".join(str(error).split()).replace("<class 'NoneType'>", "null")
        raise InvalidSpec(f"family {family!r}: {text}") from None


def converting(family: str, convert: Callable[[], Any]) -> Any:
    """What a converter gives.

    Raises:
        Unexportable: It failed.
    """
    try:
        return convert()
    except Exception as error:
        sentence = " ".join(str(error).split()).partition(". ")[0]
        reason = textwrap.shorten(sentence, _SENTENCE, placeholder=" ...")
        fault = f"converting it failed with {type(error).__name__}: {reason}"
        raise Unexportable(f"{family}: {fault}; {_ADVICE}") from error


def unknown_to_onnx(family: str, estimator: Estimator) -> str | None:
    """That skl2onnx does not know this estimator, and what to do about it; None where it does."""
    name = unknown(estimator)
    return name and f"{family}: there is no converter for {name!r}; {_ADVICE}"


def _skl2onnx(fitted: Fitted, width: int) -> Any:
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType

    return skl2onnx.convert_sklearn(
        as_known(fitted.model),
        initial_types=[(FEATURES, FloatTensorType([None, width]))],
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
        options=None if fitted.classes is None else {"zipmap": False},
        **corrected(),
    )


# ---- skl2onnx's converters --------------------------------------------------------------------
#
# What skl2onnx makes of an estimator: which classes it can convert, and corrections to its work.
#
# An estimator is converted as the nearest of its classes that skl2onnx knows, unless it overrides a
# prediction method of that one; a pipeline is known where each of its steps is.


Converter: TypeAlias = Callable[[Any, Any, Any], None]

_METHODS = ("predict", "predict_proba", "decision_function", "transform")


def as_known(model: Any) -> Any:
    """The model as the class that skl2onnx knows it by, itself where there is none.

    A subclass that is fitted in its own way and predicts as its base does has its base's converter.
    Whether the result is right is measured on the holdout rows, as for every model.
    """
    base = _known_base(type(model))
    if base is None:
        return model
    if base is type(model) and not _is_pipeline(base):
        return model
    twin = copy.copy(model)
    twin.__class__ = base
    if _is_pipeline(base):
        twin.steps = [(name, as_known(step)) for name, step in model.steps]
    return twin


def unknown(model: Any) -> str | None:
    """Name of the class, of the model or of a step of it, that skl2onnx does not know, if any."""
    base = _known_base(type(model))
    if base is None:
        return type(model).__name__
    steps = [step for _, step in model.steps if _is_step(step)] if _is_pipeline(base) else []
    return next((name for name in map(unknown, steps) if name), None)


def _known_base(kind: type) -> type | None:
    """The nearest of its classes that skl2onnx knows, unless it predicts in another way."""
    from skl2onnx._parse import sklearn_parsers_map as parsers
    from skl2onnx._supported_operators import sklearn_operator_name_map as names

    base = next((one for one in kind.__mro__ if one in names or one in parsers), None)
    return base if base and all(_same(kind, base, method) for method in _METHODS) else None


def _same(kind: type, base: type, method: str) -> bool:
    # statically: scikit-learn makes a new function for each access to some of these
    return inspect.getattr_static(kind, method, None) is inspect.getattr_static(base, method, None)


def _is_pipeline(kind: type) -> bool:
    from sklearn.pipeline import Pipeline

    return kind is Pipeline


def _is_step(step: Any) -> bool:
    return step is not None and step != "passthrough"


def corrected() -> dict[str, Mapping[type, Callable[..., None]]]:
    """Further arguments of skl2onnx.convert_sklearn."""
    from skl2onnx._supported_operators import sklearn_operator_name_map as names
    from skl2onnx.common._registration import get_shape_calculator
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    wrong = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
    return {
        "custom_conversion_functions": {one: _mended(names[one]) for one in wrong},
        "custom_shape_calculators": {one: get_shape_calculator(names[one]) for one in wrong},
    }


def _mended(operator: str) -> Converter:
    """Histogram boosting: its booleans are no integers to onnx, and its log link is left out."""
    from skl2onnx.common._registration import get_converter

    def convert(scope: Any, model: Any, container: Any) -> None:
        integers = _IntegerContainer(container)
        if getattr(model.raw_operator, "loss", None) not in {"poisson", "gamma"}:
            get_converter(operator)(scope, model, integers)
            return
        scores = scope.get_unique_variable_name("scores")
        get_converter(operator)(scope, model, _RenamingContainer(integers, scores))
        predicted = model.outputs[0].full_name
        container.add_node("Exp", [scores], predicted, name=scope.get_unique_operator_name("Exp"))

    return convert


class _RenamingContainer:
    """A container of skl2onnx's whose nodes give their output another name."""

    def __init__(self, container: _IntegerContainer, output: str) -> None:
        self._container = container
        self._output = output

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, kind: str, inputs: Any, _: Any, **attributes: Any) -> None:
        self._container.add_node(kind, inputs, self._output, **attributes)


class _IntegerContainer:
    """A container of skl2onnx's that converts booleans to integers."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *args: Any, **attributes: Any) -> None:
        integers = {name: _integers(value) for name, value in attributes.items()}
        self._container.add_node(*args, **integers)


def _integers(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    import numpy as np

    return [int(one) if isinstance(one, (bool, np.bool_)) else one for one in value]
