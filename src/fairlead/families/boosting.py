"""What XGBoost and LightGBM share: parameters that both name alike, and how both are searched.

CatBoost is not among them: it has names of its own for nearly every parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fairlead.families.parameters import Names
from fairlead.spec.space import Range, Space

ROUNDS: Space = {
    "n_estimators": (100, 200, 300, 400, 500),
    "learning_rate": Range(low=0.01, high=0.3, log=True),
}
"""Number of rounds, and learning rate."""
SAMPLED: Space = {
    "subsample": Range(low=0.5, high=1.0),
    "colsample_bytree": Range(low=0.5, high=1.0),
}
"""Share of rows and of columns that a round is fitted on."""


def names(
    estimator: Callable[[], Any],
    *,
    native: Iterable[str],
    reserved: Mapping[str, str],
    aliases: Mapping[str, str],
) -> Names:
    """The names of an estimator's parameters.

    Args:
        estimator: A class that keeps scikit-learn's interface.
        native: Taken by its library in addition to the names of that interface.
        reserved: Those that Fairlead sets itself, and why.
        aliases: Other spellings that the library accepts, and the one that a spec uses.
    """
    return Names(known={*estimator().get_params(), *native}, reserved=reserved, aliases=aliases)
