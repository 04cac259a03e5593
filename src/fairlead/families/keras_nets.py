"""The networks that the family `keras` has of its own: a perceptron and a small convolutional net.

Each is a compiled Keras model. Its first weights follow from the seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairlead.errors import InvalidSpec

if TYPE_CHECKING:
    from fairlead.families.family import Task
    from fairlead.families.keras_runtime import Runtime
    from fairlead.records import Params, Scalar

DEFAULTS: Mapping[str, Scalar] = {
    "net": None,
    "units": 64,
    "layers": 2,
    "dropout": 0.0,
    "learning_rate": 1e-3,
}
NETS = ("mlp", "conv")
_FILTERS = 8
"""Of the first convolution; each further one has twice as many."""
_IMAGE = 3
"""Axes of an image: rows, columns, channels."""


@dataclass(frozen=True, kw_only=True)
class NetworkSignature:
    """What a network takes and gives.

    Args:
        shape: Of one row: (features,), or (height, width, channels) for images.
        outputs: Numbers that it gives of a row: one of each class; 1 for regression.
        task: What it is for.
    """

    shape: tuple[int, ...]
    outputs: int
    task: Task


def build(params: Params, signature: NetworkSignature, runtime: Runtime) -> Any:
    """A compiled model with these parameters.

    Raises:
        InvalidSpec: Its rows are no images, or too small for so many layers.
    """
    keras = runtime.keras
    given: Mapping[str, Any] = {**DEFAULTS, **params}
    conv = given["net"] == "conv" or (given["net"] is None and _suits(signature.shape, given))
    hidden = _convolutions(keras, given, signature) if conv else _dense(keras, given)
    model = keras.Sequential(
        [keras.Input(signature.shape), *hidden, keras.layers.Dense(signature.outputs)]
    )
    loss = (
        keras.losses.MeanSquaredError()
        if signature.task == "regression"
        else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.compile(optimizer=keras.optimizers.Adam(float(given["learning_rate"])), loss=loss)
    return model


def _suits(shape: tuple[int, ...], given: Mapping[str, Any]) -> bool:
    """Whether rows are images that are large enough for so many convolutions."""
    return len(shape) == _IMAGE and min(shape[:2]) >= 1 << given["layers"]


def _dense(keras: Any, given: Mapping[str, Any]) -> list[Any]:
    layers = [keras.layers.Flatten()]
    for _ in range(given["layers"]):
        layers.append(keras.layers.Dense(given["units"], activation="relu"))
        layers += _dropout(keras, given)
    return layers


def _convolutions(keras: Any, given: Mapping[str, Any], signature: NetworkSignature) -> list[Any]:
    layers = [keras.layers.Reshape(_image(signature.shape, given["layers"]))]
    for place in range(given["layers"]):
        layers += [
            keras.layers.Conv2D(_FILTERS << place, 3, padding="same", use_bias=False),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.ReLU(),
            keras.layers.MaxPooling2D(),
        ]
    dense = keras.layers.Dense(given["units"], activation="relu")
    return [*layers, keras.layers.Flatten(), *_dropout(keras, given), dense]


def _dropout(keras: Any, given: Mapping[str, Any]) -> list[Any]:
    return [keras.layers.Dropout(given["dropout"])] if given["dropout"] else []


def _image(shape: tuple[int, ...], layers: int) -> tuple[int, int, int]:
    """The shape of a row as an image: its own, or a grey square where it has no shape.

    Raises:
        InvalidSpec: It is none, or too small.
    """
    side = round(shape[0] ** 0.5)
    image = shape if len(shape) == _IMAGE else (side, side, 1)
    if len(shape) == 1 and side * side != shape[0]:
        raise InvalidSpec(
            f"family 'keras': net 'conv' is for images, and {shape[0]} columns are no square of "
            "pixels; use net 'mlp'"
        )
    if min(image[:2]) < 1 << layers:
        raise InvalidSpec(
            f"family 'keras': {layers} layers of net 'conv' halve an image of {image[0]} x "
            f"{image[1]} pixels to nothing; use fewer layers"
        )
    return image[0], image[1], image[2]
