"""Which fits may be shared. That shared ones are equal is proved in tests/integration."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.families import LIGHT

from fairlead.families import catalog

BASE = Path()


def _stage(name: str, **params: Any) -> Any:
    return catalog.family(name, base=BASE).stage(params)


@pytest.mark.parametrize("name", ["random_forest", "extra_trees", "xgboost", "lightgbm"])
def test_fits_are_shared_along_n_estimators(name: str) -> None:
    assert _stage(name, n_estimators=100) == "n_estimators"


@pytest.mark.parametrize("name", ["random_forest", "extra_trees", "xgboost", "lightgbm"])
@pytest.mark.parametrize("count", [None, 0, -1, True, 10.0, "10"])
def test_a_length_that_is_no_positive_whole_number_is_never_shared(name: str, count: Any) -> None:
    assert _stage(name, n_estimators=count) is None


@pytest.mark.parametrize("name", LIGHT)
def test_without_a_length_nothing_is_shared(name: str) -> None:
    assert _stage(name, learning_rate=0.1) is None


@pytest.mark.parametrize("name", ["iterations", "n_estimators", "num_boost_round", "num_trees"])
@pytest.mark.parametrize("rate", ["learning_rate", "eta"])
def test_catboost_shares_along_whichever_name_the_rounds_have(name: str, rate: str) -> None:
    assert _stage("catboost", **{name: 10, rate: 0.1}) == name


def test_catboost_shares_only_where_the_learning_rate_is_given() -> None:
    assert _stage("catboost", iterations=10) is None
    assert _stage("catboost", iterations=10, learning_rate=None) is None


def test_catboost_with_two_names_for_the_rounds_is_not_shared() -> None:
    assert _stage("catboost", iterations=10, n_estimators=20, learning_rate=0.1) is None


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("xgboost", {"booster": "dart"}),
        ("xgboost", {"booster": "gblinear"}),
        ("xgboost", {"rate_drop": 0.1}),
        ("xgboost", {"early_stopping_rounds": 5}),
        ("xgboost", {"multi_strategy": "multi_output_tree"}),
        ("xgboost", {"num_boost_round": 50}),
        ("lightgbm", {"boosting_type": "dart"}),
        ("lightgbm", {"boosting_type": "rf"}),
        ("lightgbm", {"boosting": "dart"}),
        ("lightgbm", {"n_iter": 50}),
        ("lightgbm", {"num_iterations": 50}),
        ("lightgbm", {"early_stopping_round": 5}),
        ("lightgbm", {"linear_tree": True}),
        ("catboost", {"learning_rate": 0.1, "od_wait": 5}),
        ("catboost", {"learning_rate": 0.1, "langevin": True}),
        ("catboost", {"learning_rate": 0.1, "model_shrink_rate": 0.1}),
        ("catboost", {"learning_rate": 0.1, "a_new_one": 1}),
    ],
)
def test_what_is_not_proved_equal_is_fitted_by_itself(name: str, params: Mapping[str, Any]) -> None:
    rounds = "iterations" if name == "catboost" else "n_estimators"
    assert _stage(name, **{rounds: 100, **params}) is None


def test_linear_and_imported_models_share_nothing() -> None:
    assert _stage("linear", alpha=0.1) is None
    assert _stage("sklearn.ensemble:RandomForestRegressor", n_estimators=10) is None


@pytest.mark.parametrize("name", ["random_forest", "extra_trees"])
class TestCanonical:
    def test_min_samples_split_is_at_least_two_leaves(self, name: str) -> None:
        family = catalog.family(name, base=BASE)
        given = {"min_samples_leaf": 4, "min_samples_split": 2}
        assert family.canonical(given)["min_samples_split"] == 8
        assert family.canonical({"min_samples_leaf": 4}) == family.canonical(given)

    def test_a_larger_min_samples_split_stays(self, name: str) -> None:
        given = {"min_samples_leaf": 4, "min_samples_split": 9}
        assert catalog.family(name, base=BASE).canonical(given) == given

    @pytest.mark.parametrize("leaf", [0.1, True, None, "4"])
    def test_only_whole_numbers_are_rewritten(self, name: str, leaf: Any) -> None:
        given = {"min_samples_leaf": leaf, "min_samples_split": 2}
        assert catalog.family(name, base=BASE).canonical(given) == given
