"""What is decided of a Keras model without Keras: its scaling, and what of its file is trusted."""

from __future__ import annotations

import numpy as np
import pytest

from fairlead.families.keras_model import Scaling, untrusted


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3e-5, -1e9 / 3, 1e-42])
def test_a_column_of_one_number_is_scaled_by_one(value: float) -> None:
    x = np.full((1000, 1), value)
    scaling = Scaling.fit(x, x[:, 0], "standard", None)
    assert scaling.factor.tolist() == [1.0]
    assert scaling.target is not None
    assert scaling.target.tolist() == [np.float32(value), 1.0]


def test_a_number_that_no_row_had_stays_near_those_that_rows_had() -> None:
    x = np.full((100, 2), 0.1)
    x[:, 1] = np.arange(100)
    scaled = Scaling.fit(x, x[:, 1], "standard", None).scaled(np.array([[0.2, 50.0]]), (2,))
    assert np.abs(scaled).max() < 1


def test_columns_that_differ_by_little_are_scaled_by_it() -> None:
    x = np.array([[1e-30], [3e-30], [5e-30]])
    scaled = Scaling.fit(x, x[:, 0], "standard", None).scaled(x, (1,))
    assert scaled.ravel() == pytest.approx([-1.2247, 0.0, 1.2247], abs=1e-3)


@pytest.mark.parametrize(
    ("layer", "fault"),
    [
        ({"class_name": "Dense", "module": "keras.layers"}, None),
        ({"class_name": "Lambda", "module": "keras.layers"}, "a Lambda layer"),
        (
            {"class_name": "layers.Lambda", "module": "keras"},
            "'layers.Lambda', which is no name of a class",
        ),
        ({"class_name": "get_file", "module": "keras.utils"}, "'get_file' of keras.utils"),
    ],
)
def test_a_class_is_trusted_by_its_name_and_its_module(
    layer: dict[str, str], fault: str | None
) -> None:
    within = {"class_name": "Sequential", "module": "keras", "config": {"layers": [layer]}}
    assert untrusted(within) == fault
