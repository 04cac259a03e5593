"""A score is scikit-learn's own, to the last bit, whichever way it is computed."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from fairlead.metrics import METRICS

MEANS = {
    "mse": "mean_squared_error",
    "rmse": "root_mean_squared_error",
    "mae": "mean_absolute_error",
}


@pytest.mark.parametrize("name", MEANS)
@given(
    rows=st.integers(1, 30_000),
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([1e-150, 1e-3, 1.0, 1e5, 1e150]),
    dtype=st.sampled_from(["float64", "float32"]),
    step=st.sampled_from([1, 3]),
)
def test_a_score_of_vectors_is_that_of_scikit_learn(
    *, name: str, rows: int, seed: int, scale: float, dtype: str, step: int
) -> None:
    source = np.random.default_rng(seed)
    true = source.normal(size=rows * step)[::step] * scale
    predicted = source.normal(size=rows).astype(dtype)
    expected = float(getattr(sklearn.metrics, MEANS[name])(true, predicted))
    assert METRICS[name].score(true, predicted) == expected


@pytest.mark.parametrize("name", MEANS)
def test_a_column_of_predictions_is_taken_as_scikit_learn_takes_it(name: str) -> None:
    true = np.array([1.0, 2.0, 4.0])
    assert METRICS[name].score(true, np.zeros((3, 1))) == METRICS[name].score(true, np.zeros(3))


@pytest.mark.parametrize("name", MEANS)
@pytest.mark.parametrize(
    "predicted",
    [np.zeros(2), np.zeros((3, 2)), np.array([0.0, np.nan, 0.0]), np.array([0.0, np.inf, 0.0])],
    ids=["too few", "too wide", "not a number", "infinite"],
)
def test_predictions_that_cannot_be_scored_are_refused(name: str, predicted: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"inconsistent|NaN|infinity|output"):
        METRICS[name].score(np.array([1.0, 2.0, 4.0]), predicted)
