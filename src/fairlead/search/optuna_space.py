"""A family's space as Optuna's distributions: what is drawn for a parameter, and its value.

Choices and steps are drawn by their index: values of any type go through, and a stepped range
gives the same exact values as a grid does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from fairlead.errors import InvalidSpec
from fairlead.records import Params, Scalar, Trial
from fairlead.search.values import at, count, index_of
from fairlead.spec.space import Range, Space, Values

Distribution: TypeAlias = CategoricalDistribution | FloatDistribution | IntDistribution
Drawn: TypeAlias = int | float
Draw: TypeAlias = Callable[[str, Distribution], Drawn]
"""Draws from the distribution, which has this name within the study."""

_FAMILY = "family"
_EXACT = 1 << 53  # whole numbers up to here are exact as floats, in which samplers compute


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One parameter that is drawn; `key` is its name in Optuna, unique within the study."""

    name: str
    key: str
    values: Values
    distribution: Distribution

    def value(self, drawn: Drawn) -> Scalar:
        """The value that the drawn number stands for."""
        if isinstance(self.distribution, FloatDistribution):
            return float(drawn)
        return int(drawn) if _continuous(self.values) else at(self.values, int(drawn))

    def drawn(self, value: Scalar) -> Drawn | None:
        """The number that stands for the value; None where this axis cannot give it."""
        if not isinstance(self.values, Range) or self.values.step is not None:
            return index_of(self.values, value)
        kind = int if self.values.whole else float
        inside = type(value) is kind and self.values.low <= value <= self.values.high
        return value if inside else None  # type: ignore[return-value] # a number, by its type


@dataclass(frozen=True, kw_only=True)
class Branch:
    """One family of a study: what is drawn and what is fixed of its parameters."""

    family: str
    axes: Sequence[Axis]  # by name
    fixed: Params

    def params(self, draw: Draw) -> Params:
        """One parameter set, by name."""
        drawn = {axis.name: axis.value(draw(axis.key, axis.distribution)) for axis in self.axes}
        return dict(sorted({**self.fixed, **drawn}.items()))

    def drawn(self, trial: Trial) -> dict[str, Drawn] | None:
        """What was drawn to give this trial; None where this branch cannot give it."""
        names = {axis.name for axis in self.axes} | set(self.fixed)
        fixed = all(
            index_of(value, trial.params.get(name)) == 0 for name, value in self.fixed.items()
        )
        if trial.family != self.family or set(trial.params) != names or not fixed:
            return None
        numbers = {axis.key: axis.drawn(trial.params[axis.name]) for axis in self.axes}
        known = {key: number for key, number in numbers.items() if number is not None}
        return known if len(known) == len(numbers) else None


def branches(families: Sequence[tuple[str, Space]]) -> tuple[Branch, ...]:
    """The families' spaces as something to draw from.

    Args:
        families: Each family's name, as the spec writes it, with its space.

    Raises:
        InvalidSpec: A range is too wide to be drawn from.
    """
    return tuple(_branch(index, family, space) for index, (family, space) in enumerate(families))


def draw_trial(number: int, among: Sequence[Branch], draw: Draw) -> Trial:
    """Draw the family, then its parameters."""
    index = int(draw(_FAMILY, _indexes(len(among)))) if len(among) > 1 else 0
    return Trial(number=number, family=among[index].family, params=among[index].params(draw))


def drawn_for(trial: Trial, among: Sequence[Branch]) -> dict[str, Drawn] | None:
    """What was drawn to give this trial; None where that is not certain."""
    fitting = [
        {_FAMILY: index, **drawn}
        for index, branch in enumerate(among)
        if (drawn := branch.drawn(trial)) is not None
    ]
    return fitting[0] if len(fitting) == 1 else None


def _branch(index: int, family: str, space: Space) -> Branch:
    axes = (
        _axis(index, name, values)
        for name, values in sorted(space.items())
        if _continuous(values) or count(values) > 1
    )
    fixed = {
        name: at(values, 0)
        for name, values in space.items()
        if not _continuous(values) and count(values) == 1
    }
    return Branch(family=family, axes=tuple(axes), fixed=fixed)


def _axis(index: int, name: str, values: Values) -> Axis:
    if isinstance(values, Range) and not _drawable(values):
        raise InvalidSpec(
            f"search.over[{index}].params.{name}: it cannot be drawn from {values.low!r} to "
            f"{values.high!r}: that is too wide; give a narrower range, or one with log: true"
        )
    return Axis(name=name, key=f"{index}.{name}", values=values, distribution=_distribution(values))


def _distribution(values: Values) -> Distribution:
    if not isinstance(values, Range):
        return _indexes(count(values))
    if values.step is not None:
        return IntDistribution(0, values.count - 1)
    if values.whole:
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def _indexes(number: int) -> CategoricalDistribution:
    return CategoricalDistribution(tuple(range(number)))


def _continuous(values: Values) -> bool:
    return isinstance(values, Range) and values.step is None


def _drawable(values: Range) -> bool:
    if values.step is not None:
        return values.count <= _EXACT
    if values.whole:
        return max(abs(values.low), abs(values.high)) <= _EXACT
    return max(abs(values.low), abs(values.high)) <= sys.float_info.max / 2  # the width is finite
