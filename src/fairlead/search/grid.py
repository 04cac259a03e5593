"""Grid search: every combination, in scikit-learn's order."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fairlead.errors import InvalidSpec
from fairlead.records import Params, Result, Trial
from fairlead.search.search import NoOptions, Search, SearchRequest
from fairlead.search.values import at, count
from fairlead.spec.space import Range, Space

MAX_POINTS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class GridSearch:
    """Every combination of every family's values.

    Numbered as scikit-learn's ParameterGrid numbers a list of grids (one a family, in the spec's
    order; within one the parameters sorted by name, the last varying fastest), so that the first
    of equally good trials is the one that GridSearchCV would choose. Points are computed from
    their number, never listed.

    Args:
        families: Each family's name, as the spec writes it, with its space.
        ends: For each family, the number after its last point.
        size: Number of trials.
    """

    families: Sequence[tuple[str, Space]]
    ends: Sequence[int]
    size: int
    lag: int | None = None
    chunk: int = 20_000  # seconds to put in, and few fits are shared across the ends of so many

    def suggest(self, number: int, history: Sequence[Result]) -> Trial:  # noqa: ARG002 - a grid learns nothing
        """The trial with this number."""
        index = bisect.bisect_right(self.ends, number)
        family, space = self.families[index]
        offset = number - (self.ends[index - 1] if index else 0)
        return Trial(number=number, family=family, params=_point(space, offset))


def grid(families: Sequence[tuple[str, Space]], *, trials: int | None) -> GridSearch:
    """The grid over these families' spaces.

    Args:
        families: Each family's name with its space.
        trials: Number of trials, from the first on; None or more than there are means all.

    Raises:
        InvalidSpec: A range has no step, or there are more than 1,000,000 points.
    """
    for index, (_, space) in enumerate(families):
        _refuse_endless(f"search.over[{index}].params", space)
    ends = tuple(itertools.accumulate(points(space) for _, space in families))
    if ends[-1] > MAX_POINTS:
        raise InvalidSpec(
            f"search.over: this grid has {ends[-1]:,} points, over the limit of {MAX_POINTS:,}: "
            "give fewer values, or use method random or tpe"
        )
    return GridSearch(families=families, ends=ends, size=min(trials or ends[-1], ends[-1]))


def points(space: Space) -> int:
    """Number of combinations of a space's values."""
    return math.prod(count(values) for values in space.values())


def _point(space: Space, offset: int) -> Params:
    """The point with this offset: its digits in the mixed radix of the numbers of values."""
    params = {}
    for name in sorted(space, reverse=True):
        offset, digit = divmod(offset, count(space[name]))
        params[name] = at(space[name], digit)
    return dict(sorted(params.items()))


def _refuse_endless(key: str, space: Space) -> None:
    for name, values in space.items():
        if isinstance(values, Range) and values.step is None:
            raise InvalidSpec(
                f"{key}.{name}: it is searched from {values.low!r} to {values.high!r}, and a grid "
                "needs a list, or a range with a step: give one, or use method random or tpe"
            )


class Grid:
    """The method `grid`."""

    exhaustive = True
    options = NoOptions

    def versions(self) -> Mapping[str, str]:
        """None: it is computed here."""
        return {}

    def search(self, request: SearchRequest) -> Search:
        """The grid over the families' spaces."""
        return grid(request.spaces, trials=request.trials)


GRID = Grid()
