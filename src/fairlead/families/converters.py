"""Corrections to skl2onnx's converters.

Belongs here: estimators that it converts wrongly, each with what is wrong. Does not: estimators
that it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Converter: TypeAlias = Callable[[Any, Any, Any], None]


def corrected() -> dict[str, Mapping[type, Callable[..., None]]]:
    """Further arguments of skl2onnx.convert_sklearn."""
    from skl2onnx._supported_operators import sklearn_operator_name_map as names
    from skl2onnx.common._registration import get_shape_calculator
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    wrong = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
    return {
        "custom_conversion_functions": {one: _with_whole_numbers(names[one]) for one in wrong},
        "custom_shape_calculators": {one: get_shape_calculator(names[one]) for one in wrong},
    }


def _with_whole_numbers(operator: str) -> Converter:
    """Histogram boosting gives booleans where whole numbers are due, which onnx refuses."""
    from skl2onnx.common._registration import get_converter

    def convert(scope: Any, model: Any, container: Any) -> None:
        get_converter(operator)(scope, model, _Whole(container))

    return convert


class _Whole:
    """A container of skl2onnx's that takes booleans for whole numbers."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *args: Any, **attributes: Any) -> None:
        whole = {name: _numbers(value) for name, value in attributes.items()}
        self._container.add_node(*args, **whole)


def _numbers(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    import numpy as np

    return [int(one) if isinstance(one, (bool, np.bool_)) else one for one in value]
