"""A search: the sequence of trials that a spec and its results determine.

Belongs here: the Protocol of every method, and which method a spec asks for. Does not: how a
method works (grid.py, optuna_search.py), and when trials run, which is the study's work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from fairlead.families.family import Family, Task
from fairlead.records import Result, Trial
from fairlead.search.grid import grid
from fairlead.search.lag import visible
from fairlead.search.prune import thresholds
from fairlead.spec.document import Spec
from fairlead.spec.space import Space

DEFAULT_TRIALS = 50


class Search(Protocol):
    """The trials of one study."""

    @property
    def size(self) -> int:
        """Number of trials."""
        ...

    @property
    def lag(self) -> int | None:
        """How many trials before trial n it does not look at; None where it looks at none."""
        ...

    @property
    def chunk(self) -> int:
        """How many trials are put in at a time where `lag` is None.

        Trials that share a fit are looked for among these.
        """
        ...

    def suggest(self, number: int, history: Sequence[Result]) -> Trial:
        """Trial n, a function of the spec, n and the results of trials 0 .. n - lag - 1 alone.

        Args:
            number: n, from 0.
            history: Those results at least, in trial order; what is more is ignored.

        Returns:
            The trial, its parameters sorted by name.

        Raises:
            ValueError: The history is not complete.
        """
        ...


def search_for(
    spec: Spec,
    families: Mapping[str, Family],
    *,
    task: Task,
    greater_is_better: bool,
    known: Sequence[Trial] = (),
) -> Search:
    """The search that the spec asks for.

    Args:
        spec: The user's document.
        families: The families of `search.over`, by the names that it gives them.
        task: What the data is for; it decides a family's own ranges.
        greater_is_better: The metric's sign.
        known: Trials of this study that are in the ledger already. They change no trial; they
            spare a restart from drawing them again.

    Raises:
        InvalidSpec: The grid has too many points, or a range cannot be used by the method.
    """
    spaces = [
        (entry.family, families[entry.family].space(task) if entry.params is None else entry.params)
        for entry in spec.search.over
    ]
    method = _method(spec, spaces, known, greater_is_better=greater_is_better)
    if spec.search.prune is None:
        return method
    return Pruned(
        method=method,
        lag=spec.search.lag,
        folds=spec.search.folds,
        greater_is_better=greater_is_better,
    )


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """Another search, whose trials are stopped by the median rule.

    Its trials look back even where the other search's do not: to know when to stop.
    """

    method: Search
    lag: int
    folds: int
    greater_is_better: bool

    @property
    def size(self) -> int:
        """Number of trials."""
        return self.method.size

    @property
    def chunk(self) -> int:
        """As the other search has it."""
        return self.method.chunk

    def suggest(self, number: int, history: Sequence[Result]) -> Trial:
        """The other search's trial, with what it is stopped beyond."""
        seen = visible(history, number=number, lag=self.lag)
        beyond = thresholds(seen, folds=self.folds, greater_is_better=self.greater_is_better)
        return replace(self.method.suggest(number, history), stop_beyond=beyond)


def _method(
    spec: Spec,
    spaces: Sequence[tuple[str, Space]],
    known: Sequence[Trial],
    *,
    greater_is_better: bool,
) -> Search:
    if spec.search.method == "grid":
        return grid(spaces, trials=spec.search.trials)
    from fairlead.search.optuna_search import RandomSearch, TpeSearch
    from fairlead.search.optuna_space import branches

    among = branches(spaces)
    size = spec.search.trials or DEFAULT_TRIALS
    if spec.search.method == "random":
        return RandomSearch(among, seed=spec.seed, size=size)
    return TpeSearch(
        among,
        seed=spec.seed,
        size=size,
        lag=spec.search.lag,
        greater_is_better=greater_is_better,
        known=known,
    )
