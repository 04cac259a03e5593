"""Random search and TPE, by Optuna's samplers.

Optuna is asked in such a way that a trial depends on the seed, its number and the results that it
may see, and on nothing else.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import metadata

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import TrialState

from fairlead.records import Result, Trial
from fairlead.search.optuna_space import (
    Branch,
    Distribution,
    Drawn,
    branches,
    draw_trial,
    drawn_for,
)
from fairlead.search.search import DEFAULT_TRIALS, NoOptions, Search, SearchRequest, visible


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
            for folds, total in enumerate(itertools.accumulate(result.scores), start=1):
                asked.report(total / folds, folds)
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
    return result.number, result.state, result.score, result.scores


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
