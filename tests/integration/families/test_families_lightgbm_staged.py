"""Predictions of a booster's beginnings are LightGBM's own, to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairlead.families import catalog, lightgbm

ROWS = 700
AT = [1, 7, 7, 40, 60]


@pytest.fixture(scope="module")
def x() -> Any:
    rows = np.random.default_rng(3).normal(size=(ROWS, 5))
    rows[::11, 2] = np.nan
    return rows


def booster(x: Any, **params: Any) -> Any:
    y = np.exp(np.nan_to_num(x).sum(axis=1) / 4) + 1e-3
    family = catalog.family("lightgbm", base=Path())
    built = family.build({"n_estimators": 60, **params}, "regression", seed=1, threads=1)
    return family.fit(built, x, y, classes=None)


@pytest.mark.parametrize("entries", [1 << 22, 1, 60 * 100])
@pytest.mark.parametrize("params", [{}, {"subsample": 0.5, "subsample_freq": 1, "num_leaves": 4}])
def test_the_sums_of_leaves_are_the_predictions(
    x: Any, params: dict[str, Any], entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lightgbm, "_ENTRIES", entries)
    own = booster(x, **params).model.booster
    assert lightgbm.adds_up(own)
    few = x[:: 1 if entries > 1 else 100]
    for trees, summed in zip(AT, lightgbm.staged_sums(own, few, AT, threads=1), strict=True):
        assert np.array_equal(summed, own.predict(few, num_iteration=trees))


@pytest.mark.parametrize("objective", ["poisson", "tweedie", "regression_l1"])
def test_what_is_no_plain_sum_is_asked_of_lightgbm(x: Any, objective: str) -> None:
    fitted = booster(x, objective=objective)
    assert not lightgbm.adds_up(fitted.model.booster)
    family = catalog.family("lightgbm", base=Path())
    for rounds, predicted in zip([5, 60], family.stages(fitted, x, [5, 60]), strict=True):
        assert np.array_equal(predicted, fitted.model.booster.predict(x, num_iteration=rounds))
