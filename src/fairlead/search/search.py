"""A search: the sequence of trials that a spec and its results determine.

Trial n is a function of the spec, n and the results of trials 0 .. n - lag - 1, and of nothing
else: so it does not matter who runs the trials, when, and how many at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from fairlead.records import Result, Trial
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


class NoOptions(BaseModel):
    """The options of a method that has none, and what those of any other inherit."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True, kw_only=True)
class SearchRequest:
    """What a method makes a search of.

    Args:
        spaces: Each family's name, as the spec writes it, with its parameters' values.
        seed: The spec's seed.
        trials: Number of trials that is asked for; None where the spec says none.
        lag: How many trials before trial n must not be looked at, where results are.
        greater_is_better: The metric's sign.
        options: The spec's `search.options`, an instance of `Method.options`.
        known: Trials of this study that are in the ledger already. They change no trial; they
            spare a restart from drawing them again.
    """

    spaces: Sequence[tuple[str, Space]]
    seed: int
    trials: int | None
    lag: int
    greater_is_better: bool
    options: BaseModel = field(default_factory=NoOptions)
    known: Sequence[Trial] = ()


class Method(Protocol):
    """A way to search."""

    @property
    def exhaustive(self) -> bool:
        """Whether every trial differs from every other; else trials are drawn."""
        ...

    @property
    def options(self) -> type[BaseModel]:
        """What `search.options` may say."""
        ...

    def versions(self) -> Mapping[str, str]:
        """Versions of the libraries that its trials depend on."""
        ...

    def search(self, request: SearchRequest) -> Search:
        """The search.

        Raises:
            InvalidSpec: A range cannot be used by this method, or there are too many trials.
        """
        ...


def visible(history: Sequence[Result], *, number: int, lag: int) -> Sequence[Result]:
    """What a trial may look at: the results of trials 0 .. number - lag - 1.

    Args:
        history: Results in trial order, without gaps.
        number: The trial that looks.
        lag: How many trials before it are not looked at.

    Raises:
        ValueError: Some are missing or out of order: a trial drawn from them would be another one.
    """
    seen = history[: max(0, number - lag)]
    if len(seen) < number - lag:
        raise ValueError(
            f"trial {number} looks at the results of trials up to {number - lag - 1}, "
            f"and only {len(seen)} are given"
        )
    if seen and seen[-1].number != len(seen) - 1:
        raise ValueError(f"result {len(seen) - 1} in trial order is of trial {seen[-1].number}")
    return seen
