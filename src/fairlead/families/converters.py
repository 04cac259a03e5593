"""What skl2onnx makes of an estimator: which classes it can convert, and corrections to its work.

An estimator is converted as the nearest of its classes that skl2onnx knows, unless it overrides a
prediction method of that one; a pipeline is known where each of its steps is.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

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
        "custom_conversion_functions": {one: _with_integers(names[one]) for one in wrong},
        "custom_shape_calculators": {one: get_shape_calculator(names[one]) for one in wrong},
    }


def _with_integers(operator: str) -> Converter:
    """Histogram boosting gives booleans where integers are expected, which onnx refuses."""
    from skl2onnx.common._registration import get_converter

    def convert(scope: Any, model: Any, container: Any) -> None:
        get_converter(operator)(scope, model, _IntegerContainer(container))

    return convert


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
