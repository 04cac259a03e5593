"""Checking the names of a spec's parameters against those that a family takes.

A name is refused where the family has no such parameter, where Fairlead sets it itself, or where it
is another spelling of one; the message says what to write instead.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fairlead.errors import InvalidSpec
from fairlead.formatting import nearest
from fairlead.spec.space import Range, Space

SEED = "the seed is data.seed, or search.seed"
THREADS = "search.threads says how many threads a fit has"
SILENT = "libraries are kept silent"
FILES = "a fit writes no files"
STOPPING = "a fit has no rows to stop on; search the number of rounds instead"
AFRESH = "every fit starts afresh"


@dataclass(frozen=True, kw_only=True)
class Names:
    """The names of a family's parameters.

    Args:
        known: Those a spec may give; None where the estimator takes any.
        reserved: Those that Fairlead sets itself, and why.
        aliases: Other spellings that the library accepts, and the one that a spec uses.
    """

    known: Collection[str] | None
    reserved: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    def fault(self, name: str) -> str | None:
        """What is wrong with this name, as the end of a sentence; None where nothing is."""
        if name in self.reserved:
            return f"parameter {name!r} is not for the spec: {self.reserved[name]}"
        if name in self.aliases:
            return f"parameter {name!r} is written {self.aliases[name]!r} here"
        if self.known is None or name in self.known:
            return None
        return f"there is no parameter {name!r}; {self._advice(name)}"

    def _advice(self, name: str) -> str:
        known = sorted(set(self.known or ()) - self.reserved.keys())
        if near := nearest(name, [*known, *self.aliases]):
            return f"did you mean {self.aliases.get(near, near)!r}?"
        return f"it has {', '.join(known) or 'none'}"


def refuse_unknown(family: str, given: Collection[str], names: Names) -> None:
    """Refuse the first name that the family does not take.

    Raises:
        InvalidSpec: Names it, and what to write instead.
    """
    for name in given:
        if fault := names.fault(name):
            raise InvalidSpec(f"family {family!r}: {fault}")


# ---- boosting ---------------------------------------------------------------------------------
#
# What XGBoost and LightGBM share: parameters that both name alike, and how both are searched.
#
# CatBoost is not among them: it has names of its own for nearly every parameter.


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


def booster_names(
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
