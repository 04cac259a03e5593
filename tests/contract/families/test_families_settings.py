"""Values, threads and seeds reach the libraries as the spec means them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fairlead.errors import InvalidSpec
from fairlead.families import catalog


def _family(name: str) -> Any:
    return catalog.family(name, base=Path())


@pytest.mark.parametrize(
    ("name", "params", "task"),
    [
        ("random_forest", {"n_estimators": "many"}, "regression"),
        ("extra_trees", {"max_features": "sqrtt"}, "classification"),
        ("linear", {"alpha": -1.0}, "regression"),
        ("linear", {"solver": "fastest"}, "classification"),
        ("sklearn.svm:SVR", {"kernel": 3}, "regression"),
    ],
)
def test_a_value_that_scikit_learn_refuses_is_refused_before_any_fit(
    name: str, params: dict[str, Any], task: Any
) -> None:
    (parameter,) = params
    with pytest.raises(
        InvalidSpec, match=rf"family '{name}': The '{parameter}' parameter"
    ) as caught:
        _family(name).check(params, task)
    assert "\n" not in str(caught.value)


def test_two_names_of_one_parameter_are_refused() -> None:
    with pytest.raises(InvalidSpec, match="'depth' and 'max_depth' are one parameter"):
        _family("catboost").check({"depth": 3, "max_depth": 4}, "regression")


@pytest.mark.parametrize(
    ("name", "threads", "seed"),
    [
        ("xgboost", "n_jobs", "random_state"),
        ("lightgbm", "n_jobs", "random_state"),
        ("catboost", "thread_count", "random_seed"),
        ("sklearn.ensemble:BaggingRegressor", "n_jobs", "random_state"),
    ],
)
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_threads_and_seed_are_those_of_the_spec(
    name: str, threads: str, seed: str, task: Any
) -> None:
    params = _family(name).build({}, task, seed=11, threads=3).get_params()
    assert (params[threads], params[seed]) == (3, 11)


def test_lightgbm_does_not_choose_by_its_own_clock_how_to_sum() -> None:
    build = _family("lightgbm").build
    several = build({}, "regression", seed=0, threads=2).get_params()
    assert several["force_col_wise"] is True
    chosen = build({"force_row_wise": True}, "regression", seed=0, threads=2).get_params()
    assert "force_col_wise" not in chosen
    assert "force_col_wise" not in build({}, "regression", seed=0, threads=1).get_params()
