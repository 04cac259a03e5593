"""A convolutional network for images, as `model: ./digits.py:build` of digits.yaml names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import layers

if TYPE_CHECKING:
    from fairlead.families.keras_nets import NetworkSignature


def build(
    signature: NetworkSignature,
    filters: int = 8,
    units: int = 32,
    dropout: float = 0.2,
    learning_rate: float = 1e-3,
) -> keras.Model:
    """A compiled model for rows of `signature.shape`, with an output for each class."""
    model = keras.Sequential(
        [
            keras.Input(signature.shape),
            layers.Conv2D(filters, 3, activation="relu"),
            layers.BatchNormalization(momentum=0.9),
            layers.MaxPooling2D(),
            layers.Conv2D(2 * filters, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(dropout),
            layers.Dense(units, activation="relu"),
            layers.Dense(signature.outputs),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(learning_rate), loss=loss)
    return model
