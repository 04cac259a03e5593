"""Estimators that the spec names by import path.

Belongs here: `package.module:Name` and `./file.py:Name`. Does not: families with a name of their
own.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib
import inspect
import linecache
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from fairlead.errors import InvalidSpec, Unexportable
from fairlead.families.family import Estimator, Fitted, Task
from fairlead.families.packages import distribution_of, version
from fairlead.families.parameters import SEED, THREADS, Names
from fairlead.families.scikit import Scikit, unknown_to_onnx
from fairlead.records import Params
from fairlead.spec.space import Space

_RESERVED = {"n_jobs": THREADS, "random_state": SEED}


@dataclass(frozen=True, kw_only=True)
class Imported(Scikit):
    """Any scikit-learn compatible estimator, or a function that returns one.

    Args:
        name: As the spec writes it: `package.module:Name`, or `./file.py:Name`.
        source: Content of the file; None for a module that is installed.
    """

    source: bytes | None = None

    @property
    def where(self) -> str:
        """The part before the colon."""
        return self.name.rpartition(":")[0]

    def needed(self) -> frozenset[str]:
        """Those without a default: a function may have such, and a class of the user's own."""
        return frozenset(
            one.name
            for one in self._taken()
            if one.kind in _BY_NAME and one.default is inspect.Parameter.empty
        )

    def names(self, task: Task) -> Names:  # noqa: ARG002 - the name stands for one task only
        """Those that the class or function takes."""
        taken = self._taken()
        anything = any(one.kind is one.VAR_KEYWORD for one in taken)
        known = None if anything else {one.name for one in taken if one.kind in _BY_NAME}
        return Names(known=known, reserved=_RESERVED)

    def check(self, params: Params, task: Task) -> None:
        """Refuse what cannot be imported, is for the other task, or takes no such parameters."""
        super().check(params, task)
        refuse_task(self.name, self.build(params, task, seed=0, threads=1), task)

    def unexportable(self, params: Params, task: Task) -> str | None:
        """That skl2onnx does not know the estimator."""
        return unknown_to_onnx(self.name, self.build(params, task, seed=0, threads=1))

    def space(self, task: Task) -> Space:  # noqa: ARG002 - nothing is known of it
        """Nothing: one trial, of its defaults."""
        return {}

    def versions(self) -> Mapping[str, str]:
        """The version of the package, or the digest of the file, and that of scikit-learn."""
        own = {"scikit-learn": version(["scikit-learn"])}
        if self.source is not None:
            return {**own, self.where: f"sha256:{_digest(self.source)}"}
        package = distribution_of(self.where.partition(".")[0])
        return {**own, package: version([package])}

    def build(self, params: Params, task: Task, *, seed: int, threads: int) -> Estimator:  # noqa: ARG002 - the name stands for one task only
        """An unfitted estimator; seeds and threads are set inside pipelines too.

        Raises:
            InvalidSpec: Its constructor refuses the parameters.
        """
        try:
            estimator = self._target()(**params)
        except Exception as error:
            raise self._fault(f"cannot be made of {dict(params)!r}", error) from error
        return _settled(estimator, seed, threads)

    def onnx(self, fitted: Fitted, *, width: int) -> bytes:
        """The model as skl2onnx converts it."""
        try:
            return super().onnx(fitted, width=width)
        except Unexportable as error:  # in the words of the spec: the file, not our name for it
            raise Unexportable(str(error).replace(self._module().__name__, self.where)) from error

    def trusted(self) -> frozenset[str]:
        """The classes of the file: their code is the user's own, known by its digest."""
        if self.source is None:
            return frozenset()
        module = self._module()
        classes = [one for one in vars(module).values() if isinstance(one, type)]
        return frozenset(
            f"{module.__name__}.{one.__qualname__}"
            for one in classes
            if one.__module__ == module.__name__
        )

    def _taken(self) -> Sequence[inspect.Parameter]:
        target = self._target()
        try:
            return tuple(inspect.signature(target).parameters.values())
        except (TypeError, ValueError) as error:
            raise self._fault("does not say which parameters it takes", error) from error

    def _target(self) -> Any:
        module, name = self._module(), self.name.rpartition(":")[2]
        target = getattr(module, name, None)
        if not callable(target):
            raise InvalidSpec(
                f"family {self.name!r}: {self.where} has no class or function {name!r}"
                f"{_near(name, module)}"
            )
        return target

    def _module(self) -> ModuleType:
        try:
            with _contained():
                if self.source is not None:
                    return _executed(self.source, self.where)
                return importlib.import_module(self.where)
        except (Exception, SystemExit) as error:
            raise self._fault("cannot be imported", error) from error

    def _fault(self, what: str, error: BaseException) -> InvalidSpec:
        text = " ".join(str(error).split())
        place = "" if self.source is None else _place(self.where, error)
        return InvalidSpec(f"{place}family {self.name!r} {what}: {type(error).__name__}: {text}")


@contextlib.contextmanager
def _contained() -> Iterator[None]:
    """What a file prints or where it goes while it is imported is not for the rest of the run."""
    with contextlib.chdir("."), contextlib.redirect_stdout(sys.stderr):
        yield


def _near(name: str, module: ModuleType) -> str:
    public = [other for other, one in vars(module).items() if other[0] != "_" and callable(one)]
    near = difflib.get_close_matches(name, public, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


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


def _settled(estimator: Estimator, seed: int, threads: int) -> Estimator:
    """Give every part of it that has one the seed, and no more threads than it may have."""
    if not hasattr(estimator, "get_params"):
        return estimator
    parts = {name: name.rpartition("__")[2] for name in estimator.get_params(deep=True)}
    wanted = {"random_state": seed, "n_jobs": threads}
    return estimator.set_params(
        **{name: wanted[last] for name, last in parts.items() if last in wanted}
    )


def _digest(source: bytes) -> str:
    return hashlib.sha256(source).hexdigest()


def _executed(source: bytes, where: str) -> ModuleType:
    """The file as a module, under a name that no other file or content has.

    It stays in sys.modules, where whatever takes its objects apart looks for their classes.
    """
    name = f"fairlead_family_{_digest(where.encode() + source)[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = where
    code = compile(source, where, "exec")
    linecache.cache[where] = (len(source), None, source.decode().splitlines(keepends=True), where)
    sys.modules[name] = module
    try:
        exec(code, vars(module))  # noqa: S102 - the spec names this file to be run
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _place(where: str, error: BaseException) -> str:
    """`file:line: ` of the fault, as far as it lies in the file."""
    if isinstance(error, SyntaxError):
        return f"{where}:{error.lineno}: "
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == where]
    return f"{where}:{lines[-1]}: " if lines else ""
