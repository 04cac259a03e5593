"""Estimators that the spec names by import path: `package.module:Name` or `./file.py:Name`.

The effects of the user's code are contained while it is called (user_code.py); otherwise its
estimator is handled as any with scikit-learn's interface.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from fairlead.errors import InvalidSpec, Unexportable
from fairlead.families.family import Array, Estimator, Fitted, Task
from fairlead.families.parameters import SEED, THREADS, Names
from fairlead.families.scikit import Scikit, compacted, seen_in, unknown_to_onnx, version
from fairlead.families.user_code import Reference
from fairlead.gang.steps import Alone, take_steps
from fairlead.records import Params
from fairlead.spec.space import Space

if TYPE_CHECKING:
    from fairlead.gang.network import Arrays, Network, StepResult
    from fairlead.gang.work import Vector, Work
    from fairlead.spec.document import Train

_OF_STEPS = ("network", "fitted")
"""The methods of a class whose fit is a series of steps."""
_RESERVED = {"n_jobs": THREADS, "random_state": SEED}


@dataclass(frozen=True, kw_only=True)
class Imported(Scikit):
    """Any scikit-learn compatible estimator, or a function that returns one.

    Args:
        name: As the spec writes it: `package.module:Name`, or `./file.py:Name`.
        source: Content of the file; None for a module that is installed.
    """

    source: bytes | None = None

    @cached_property
    def user(self) -> Reference:
        """The user's class or function."""
        return Reference(name=self.name, source=self.source)

    def needed(self) -> frozenset[str]:
        """Those without a default, which a function or a class of the user's own may have."""
        return self.user.needed()

    def names(self, task: Task) -> Names:  # noqa: ARG002 - the name is of one task only
        """Those that the class or function takes."""
        return Names(known=self.user.named(), reserved=_RESERVED)

    def check(self, params: Params, task: Task) -> None:
        """Refuse what cannot be imported, is for the other task, or takes no such parameters."""
        with self._guarded("cannot be checked"):
            super().check(params, task)
            refuse_task(self.name, self.build(params, task, seed=0, threads=1), task)

    def unexportable(self, params: Params, task: Task) -> str | None:
        """That skl2onnx does not know the estimator."""
        with self._guarded("cannot be checked"):
            return unknown_to_onnx(self.name, self.build(params, task, seed=0, threads=1))

    def space(self, task: Task) -> Space:  # noqa: ARG002 - nothing is known of it
        """Nothing: one trial, of its defaults."""
        return {}

    def versions(self) -> Mapping[str, str]:
        """The version of the package, or the digest of the file, and that of scikit-learn."""
        return {"scikit-learn": version(["scikit-learn"]), **self.user.versions()}

    def build(self, params: Params, task: Task, *, seed: int, threads: int) -> Estimator:  # noqa: ARG002 - the name is of one task only
        """An unfitted estimator; seeds and threads are set inside pipelines too.

        Raises:
            InvalidSpec: Its constructor refuses the parameters.
        """
        target = self.user.target()
        with self._guarded(f"cannot be made of {dict(params)!r}"):
            estimator = target(**params)
        with self._guarded("cannot be given its seed and threads"):
            refuse_class(self.name, estimator)
            return _with_seed_and_threads(estimator, seed, threads)

    def onnx(self, fitted: Fitted, *, width: int) -> bytes:
        """The model as skl2onnx converts it."""
        try:
            return super().onnx(fitted, width=width)
        except Unexportable as error:  # with the file's name, as in the spec, and not the module's
            raise Unexportable(
                str(error).replace(self.user.module().__name__, self.user.where)
            ) from error

    def in_steps(self) -> Imported:
        """The same as a family that is fitted in steps, where its class says how.

        Raises:
            InvalidSpec: It cannot be imported.
        """
        target = self.user.target()
        with self._guarded("does not say how it is fitted"):
            has_steps = all(callable(getattr(target, name, None)) for name in _OF_STEPS)
        return ImportedSteps(name=self.name, source=self.source) if has_steps else self

    def trusted(self) -> frozenset[str]:
        """The classes of the file: their code is the user's own, known by its digest."""
        if self.source is None:
            return frozenset()
        module = self.user.module()
        with self._guarded("cannot be looked through for classes"):
            classes = [one for one in vars(module).values() if isinstance(one, type)]
            own = [one for one in classes if one.__module__ == module.__name__]
            return frozenset(f"{module.__name__}.{one.__qualname__}" for one in own)

    def _guarded(self, what: str) -> AbstractContextManager[None]:
        return self.user.guarded(what)


@dataclass(frozen=True, kw_only=True)
class ImportedSteps(Imported):
    """An estimator whose fit is a series of steps: its class has `network` and `fitted`.

    `network(x, y, *, train, stages)` gives a `Network` (gang/network.py); `fitted(network)` gives
    the estimator that predicts as it does now. Class indexes in `y` are without gaps.
    """

    def network(  # noqa: PLR0913 - as the Protocol has it
        self,
        estimator: Estimator,
        x: Array,
        y: Array,
        *,
        classes: int | None,
        train: Train | None,
        stages: Sequence[int] = (),
    ) -> Network:
        """The unfitted estimator in training."""
        seen = () if classes is None else seen_in(y)
        target = y if classes is None else compacted(y, seen)
        network = estimator.network(x, target, train=train, stages=stages)
        return _EstimatorInTraining(
            network=network, estimator=estimator, classes=classes, seen=seen
        )

    def fitted(self, network: Network) -> Fitted:
        """The estimator whose fit is over."""
        assert isinstance(network, _EstimatorInTraining)
        model = network.estimator.fitted(network.network)
        return Fitted(model=model, classes=network.classes, seen=network.seen)

    def fit(self, estimator: Estimator, x: Array, y: Array, *, classes: int | None) -> Fitted:
        """The estimator, fitted by its steps in this process."""
        network = self.network(estimator, x, y, classes=classes, train=None)
        take_steps(network, Alone(computation=network), lambda _: None)
        return self.fitted(network)


@dataclass(frozen=True, kw_only=True)
class _EstimatorInTraining:
    """The network of a user's estimator, with what a fitted one needs besides."""

    network: Network
    estimator: Estimator
    classes: int | None
    seen: tuple[int, ...]

    def part(self, work: Work, number: int) -> Vector:
        return self.network.part(work, number)

    def next(self) -> Work | None:
        return self.network.next()

    def advance(self, work: Work, total: Vector) -> StepResult:
        return self.network.advance(work, total)

    def checkpoint(self) -> Arrays:
        return self.network.checkpoint()

    def restore(self, arrays: Arrays) -> None:
        self.network.restore(arrays)


def refuse_class(family: str, estimator: Estimator) -> None:
    """Refuse a class in the place of an estimator.

    Raises:
        InvalidSpec: It is one.
    """
    if isinstance(estimator, type):
        name = estimator.__name__
        raise InvalidSpec(f"family {family!r} gives the class {name!r}: let it give {name}()")


def refuse_task(family: str, estimator: Estimator, task: Task) -> None:
    """Refuse an estimator that cannot do the task.

    Raises:
        InvalidSpec: It is for another, or gives no probabilities.
    """
    kind = getattr(estimator, "_estimator_type", None) or _tagged(estimator)
    wanted = "regressor" if task == "regression" else "classifier"
    if kind not in {None, wanted}:
        raise InvalidSpec(f"family {family!r} is a {kind}, and this data is for {task}")
    needed = ("fit", "predict") if task == "regression" else ("fit", "predict_proba")
    for method in needed:
        if not hasattr(estimator, method):
            raise InvalidSpec(f"family {family!r} has no method {method!r}, which {task} needs")


def _tagged(estimator: Estimator) -> str | None:
    if not hasattr(estimator, "__sklearn_tags__"):
        return None
    from sklearn.utils import get_tags

    kind: str | None = get_tags(estimator).estimator_type
    return kind


def _with_seed_and_threads(estimator: Estimator, seed: int, threads: int) -> Estimator:
    """Set the seed and the number of threads in every part of it that takes them."""
    if not hasattr(estimator, "get_params"):
        return estimator
    given = estimator.get_params(deep=True)
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise TypeError(f"its get_params gives {given!r}, and not its parameters by name")
    parts = {name: name.rpartition("__")[2] for name in given}
    wanted = {"random_state": seed, "n_jobs": threads}
    return estimator.set_params(
        **{name: wanted[last] for name, last in parts.items() if last in wanted}
    )
