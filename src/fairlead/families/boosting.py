"""What XGBoost and LightGBM have in common.

Belongs here: the names that both take, and how both are searched. Does not: either library, nor
CatBoost, which has names of its own for nearly everything.
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
"""How many rounds, and how large each is."""
SAMPLED: Space = {
    "subsample": Range(low=0.5, high=1.0),
    "colsample_bytree": Range(low=0.5, high=1.0),
}
"""The share of rows and of columns that a round sees."""


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
        native: Taken by its library beside the names of that interface.
        reserved: Those that Fairlead sets itself, and why.
        aliases: Other spellings that the library would take, and the one to write.
    """
    return Names(known={*estimator().get_params(), *native}, reserved=reserved, aliases=aliases)
