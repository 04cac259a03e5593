"""Random search and TPE, by Optuna's samplers.

Optuna is asked in such a way that a trial depends on the seed, its number and the results that it
may see, and on nothing else.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from typing import TypeAlias

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import TrialState

from fairlead.errors import InvalidSpec
from fairlead.records import Params, Result, Scalar, Trial
from fairlead.search.search import DEFAULT_TRIALS, NoOptions, Search, SearchRequest, visible
from fairlead.search.values import at, count, index_of
from fairlead.spec.space import Range, Space, Values

_WHOLE_FOLDS = 1 << 40
"""Where the steps of whole folds begin, as a sampler is told of a pruned trial: it ranks them by
how far they came, and any number of epochs of the first fold is less than that fold."""


class RandomSearch:
    """Parameters drawn at random; a trial depends on the seed and its number alone.

    Optuna's sampler is asked directly: it looks neither at the study nor at the trial, and going
    through `Study.ask` would cost ten times as much.

    Args:
        among: The families to draw from.
        seed: The spec's seed.
        size: Number of trials.
    """

    lag: int | None = None
    chunk = 500  # drawn within the time that the workers take for the tasks still ready

    def __init__(self, among: Sequence[Branch], *, seed: int, size: int) -> None:
        self.size = size
        self._among = among
        self._seed = seed
        self._study = _study(StudyDirection.MINIMIZE)
        self._blank = optuna.trial.create_trial(state=TrialState.RUNNING)

    def suggest(self, number: int, history: Sequence[Result]) -> Trial:  # noqa: ARG002 - random search learns nothing
        """The trial with this number."""
        sampler = RandomSampler(seed=seed_of(self._seed, number))
        draw = partial(sampler.sample_independent, self._study, self._blank)
        return draw_trial(number, self._among, draw)


class TpeSearch:
    """Tree-structured Parzen estimator, reseeded for each trial.

    Trials are asked in their order from a study in memory. When trial n is asked, exactly the
    results of trials 0 .. n - lag - 1 have been told; the ones between are still running in its
    eyes, and the sampler keeps away from them. So trial n is a function of the seed, n and those
    results. What was asked is remembered: the same question again is answered from memory, and a
    question with other results than before begins a new study.

    Args:
        among: The families to draw from.
        seed: The spec's seed.
        size: Number of trials.
        lag: How many trials before n are not looked at.
        greater_is_better: The metric's sign.
        known: Trials drawn by an earlier process; they are not drawn again, which spares a
            restart most of its time.
    """

    chunk = 1  # a trial is put in as soon as its history is complete

    def __init__(  # noqa: PLR0913 - what a trial depends on, each by its name
        self,
        among: Sequence[Branch],
        *,
        seed: int,
        size: int,
        lag: int,
        greater_is_better: bool,
        known: Sequence[Trial] = (),
    ) -> None:
        self.size = size
        self.lag = lag
        self._among = among
        self._seed = seed
        self._direction = StudyDirection.MAXIMIZE if greater_is_better else StudyDirection.MINIMIZE
        self._known = {trial.number: trial for trial in known}
        self._begin()

    def suggest(self, number: int, history: Sequence[Result]) -> Trial:
        """The trial with this number.

        Args:
            number: Its number.
            history: The results of trials 0 .. number - lag - 1, in order; more are ignored.
        """
        seen = visible(history, number=number, lag=self.lag)
        if not all(map(_same, self._told, seen)):
            self._begin()
        for following in range(len(self._trials), number + 1):
            for result in seen[len(self._told) : max(0, following - self.lag)]:
                self._tell(result)
            self._ask(following)
        return self._trials[number]

    def _begin(self) -> None:
        self._study = _study(self._direction)
        self._asked: list[optuna.Trial] = []
        self._trials: list[Trial] = []
        self._told: list[Result] = []

    def _ask(self, number: int) -> None:
        self._study.sampler = TPESampler(seed=seed_of(self._seed, number))
        known = self._known.get(number)
        drawn = drawn_for(known, self._among) if known else None
        if drawn is not None:
            self._study.enqueue_trial(drawn)
        asked = self._study.ask()
        self._asked.append(asked)
        self._trials.append(draw_trial(number, self._among, partial(_suggest, asked)))

    def _tell(self, result: Result) -> None:
        asked = self._asked[result.number]
        if result.state == "done" and result.score is not None and not math.isnan(result.score):
            self._study.tell(asked, result.score)
        elif result.state == "pruned":
            for step, value in enumerate(result.curve, start=1):
                asked.report(value, step)
            folds = enumerate(itertools.accumulate(result.scores), start=1)
            for done, total in folds:
                asked.report(total / done, _WHOLE_FOLDS + done)
            self._study.tell(asked, state=TrialState.PRUNED)
        else:
            self._study.tell(asked, state=TrialState.FAIL)
        self._told.append(result)


def seed_of(seed: int, number: int) -> int:
    """The seed of one trial's sampler: 32 bits, unlike those of its neighbours."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{number}".encode()).digest()[:4])


def _study(direction: StudyDirection) -> optuna.Study:
    # Optuna announces every study and trial at level INFO on stderr.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(direction=direction)


def _suggest(asked: optuna.Trial, key: str, distribution: Distribution) -> Drawn:
    match distribution:
        case CategoricalDistribution(choices=choices):
            return choices.index(asked.suggest_categorical(key, choices))  # they are indexes
        case IntDistribution(low=low, high=high, log=log):
            return asked.suggest_int(key, low, high, log=log)
        case FloatDistribution(low=low, high=high, log=log):
            return asked.suggest_float(key, low, high, log=log)


def _same(one: Result, other: Result) -> bool:
    """Whether a search learns the same from both: seconds and attempts teach it nothing."""
    return one is other or _lesson(one) == _lesson(other)


def _lesson(result: Result) -> tuple[object, ...]:
    return result.number, result.state, result.score, result.scores, result.curve


class _Method:
    """What the methods have in common: how Optuna draws depends on its version."""

    exhaustive = False
    options = NoOptions

    def versions(self) -> Mapping[str, str]:
        """Optuna's."""
        return {"optuna": metadata.version("optuna")}


class Random(_Method):
    """The method `random`."""

    def search(self, request: SearchRequest) -> Search:
        """A random search of the families' spaces."""
        size = request.trials or DEFAULT_TRIALS
        return RandomSearch(branches(request.spaces), seed=request.seed, size=size)


class Tpe(_Method):
    """The method `tpe`."""

    def search(self, request: SearchRequest) -> Search:
        """A search of the families' spaces that learns from results."""
        return TpeSearch(
            branches(request.spaces),
            seed=request.seed,
            size=request.trials or DEFAULT_TRIALS,
            lag=request.lag,
            greater_is_better=request.greater_is_better,
            known=request.known,
        )


RANDOM = Random()
TPE = Tpe()


# ---- a family's space as Optuna's distributions -----------------------------------------------
#
# A family's space as Optuna's distributions: what is drawn for a parameter, and its value.
#
# Choices and steps are drawn by their index: values of any type go through, and a stepped range
# gives the same exact values as a grid does.


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
