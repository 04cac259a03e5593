"""A study's parameters as Optuna names and draws them.

Families of one study have spaces of their own; a study of Optuna has one name for each parameter.
A parameter that all its families have with the same values keeps its name; where they differ, it is
`FAMILY.NAME`. Where there are several families, `family` is a parameter, too.

Choices are the values themselves. Texts stand for them where Optuna could not tell them apart (1,
1.0 and true are equal to it), and where the spec does not say which values there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from fairlead.export.material import Material, exact
from fairlead.records import Scalar, Trial
from fairlead.spec.document import Spec
from fairlead.spec.space import Range, Values

Distribution: TypeAlias = CategoricalDistribution | FloatDistribution | IntDistribution
FAMILY = "family"
_EXACT = 1 << 53  # Optuna keeps numbers as floats
_LISTED = 1000  # values of a stepped range that may become choices


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of a study of Optuna.

    Args:
        key: Its name there.
        distribution: What it is drawn from.
        as_text: Whether its choices are texts that stand for the values.
    """

    key: str
    distribution: Distribution
    as_text: bool = False

    def given(self, value: Scalar) -> Scalar:
        """The value as Optuna has it."""
        return exact(value) if self.as_text else value

    def fits(self, value: Scalar) -> bool:
        """Whether Optuna gives this very value back."""
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                shown = self.given(value)
                return any(type(one) is type(shown) and one == shown for one in choices)
            case IntDistribution(low=low, high=high):
                return type(value) is int and low <= value <= high and abs(value) <= _EXACT
            case FloatDistribution(low=low, high=high):
                return type(value) is float and low <= value <= high


@dataclass(frozen=True, kw_only=True)
class OptunaSpace:
    """The parameters of a study: of each family by name, and the family's own if it is one."""

    family: Parameter | None
    parameters: Mapping[tuple[str, str], Parameter]

    def of(self, trial: Trial) -> tuple[dict[str, Any], dict[str, Any]]:
        """The trial's parameters, and their distributions, by their names in Optuna."""
        used = [
            (self.parameters[trial.family, name], value) for name, value in trial.params.items()
        ]
        if self.family is not None:
            used.insert(0, (self.family, trial.family))
        return (
            {each.key: each.given(value) for each, value in used},
            {each.key: each.distribution for each, _ in used},
        )


def space_of(material: Material) -> OptunaSpace:
    """The space of a study."""
    declared = _declared(material.spec)
    observed = _observed(material)
    every = dict.fromkeys((*declared, *observed))
    keys = {(family, name): _key(family, name, every, declared) for family, name in every}
    by_key: dict[str, Parameter] = {}
    for key in dict.fromkeys(keys.values()):
        of = [pair for pair in every if keys[pair] == key]
        seen = [value for pair in of for value in observed.get(pair, ())]
        by_key[key] = _parameter(key, declared.get(of[0], ()), seen)
    families = dict.fromkeys(
        (*(one.family for one in material.spec.search.over), *(pair[0] for pair in observed))
    )
    return OptunaSpace(
        family=Parameter(key=FAMILY, distribution=CategoricalDistribution(tuple(families)))
        if len(families) > 1
        else None,
        parameters={pair: by_key[key] for pair, key in keys.items()},
    )


def _declared(spec: Spec) -> dict[tuple[str, str], tuple[Values, ...]]:
    """What the spec says of each parameter; several where it lists a family more than once."""
    found: dict[tuple[str, str], tuple[Values, ...]] = {}
    for one in spec.search.over:
        for name, values in (one.params or {}).items():
            known = found.get((one.family, name), ())
            if not any(_alike((values,), (each,)) for each in known):
                found[one.family, name] = (*known, values)
    return found


def _observed(material: Material) -> dict[tuple[str, str], list[Scalar]]:
    found: dict[tuple[str, str], list[Scalar]] = {}
    for row in material.rows:
        for name, value in row.trial.params.items():
            found.setdefault((row.trial.family, name), []).append(value)
    return found


def _key(
    family: str,
    name: str,
    every: Iterable[tuple[str, str]],
    declared: Mapping[tuple[str, str], tuple[Values, ...]],
) -> str:
    same = [pair for pair in every if pair[1] == name]
    mine = declared.get((family, name), ())
    shared = all(_alike(mine, declared.get(pair, ())) for pair in same)
    return name if shared and name != FAMILY else f"{family}.{name}"


def _alike(one: tuple[Values, ...], other: tuple[Values, ...]) -> bool:
    """Whether they are the same, also in type: 1 and 1.0 are two."""
    return repr(one) == repr(other)


def _parameter(key: str, declared: Sequence[Values], seen: Sequence[Scalar]) -> Parameter:
    """As the spec has it; of the values that were seen where it does not have them all."""
    distribution = _distribution(declared)
    if distribution is not None:
        of_spec = Parameter(key=key, distribution=distribution)
        if all(of_spec.fits(value) for value in seen) and _told_apart(distribution):
            return of_spec
    choices = _finite(declared) or ()
    texts = dict.fromkeys((*map(exact, choices), *sorted({exact(value) for value in seen})))
    texts = texts or {exact(None): None}
    return Parameter(key=key, distribution=CategoricalDistribution(tuple(texts)), as_text=True)


def _told_apart(distribution: Distribution) -> bool:
    if not isinstance(distribution, CategoricalDistribution):
        return True
    return len(set(distribution.choices)) == len(distribution.choices)


def _distribution(declared: Sequence[Values]) -> Distribution | None:
    ranges = [values for values in declared if isinstance(values, Range)]
    if not declared:
        return None
    if len(ranges) == len(declared):
        return _range(ranges)
    choices = _finite(declared)
    return CategoricalDistribution(tuple(choices)) if choices else None


def _range(ranges: Sequence[Range]) -> Distribution | None:
    """One range, or the one from the lowest to the highest of several of a kind."""
    first = ranges[0]
    if any((one.whole, one.log) != (first.whole, first.log) for one in ranges):
        return None
    low, high = min(one.low for one in ranges), max(one.high for one in ranges)
    step = first.step if len(ranges) == 1 else None
    if step is not None:
        high = first.at(first.count - 1)
    if first.whole:
        return IntDistribution(int(low), int(high), log=first.log, step=int(step or 1))
    return FloatDistribution(float(low), float(high), log=first.log, step=step)


def _finite(declared: Sequence[Values]) -> Sequence[Scalar] | None:
    """Every value that may be drawn, without repetitions; None where they are too many."""
    found: dict[tuple[type, Scalar], None] = {}
    for values in declared:
        if isinstance(values, Range) and (values.step is None or values.count > _LISTED):
            return None
        every = values.values() if isinstance(values, Range) else values
        listed = every if isinstance(every, tuple) else (every,)
        found |= dict.fromkeys((type(one), one) for one in listed)
    return [value for _, value in found]
