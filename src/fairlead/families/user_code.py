"""Code of the user's own that a spec names: `package.module:Name`, or `./file.py:Name`.

A file is executed as a module of its own, named by the digest of its content. While the user's code
runs its effects are contained: what it prints goes to stderr, the current folder is restored, and
whatever it raises becomes a fault of the spec that names the line of the user's file.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import linecache
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from fairlead.errors import InvalidSpec
from fairlead.families.scikit import version
from fairlead.formatting import did_you_mean

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A class or function of the user's.

    Args:
        name: `package.module:Name`, or `./file.py:Name`.
        source: Content of the file; None for a module that is installed.
        kind: What it is in the spec, for messages.
    """

    name: str
    source: bytes | None = None
    kind: str = "family"

    @property
    def where(self) -> str:
        """The part before the colon."""
        return self.name.rpartition(":")[0]

    def target(self) -> Any:
        """The class or function.

        Raises:
            InvalidSpec: It cannot be imported.
        """
        module, name = self.module(), self.name.rpartition(":")[2]
        with self.guarded("cannot be imported"):  # its module may have a __getattr__ of its own
            target = getattr(module, name, None)
            if callable(target):
                return target
            fault = f"{self.where} has no class or function {name!r}{_near(name, module)}"
        raise InvalidSpec(f"{self.kind} {self.name!r}: {fault}")

    def module(self) -> ModuleType:
        """The module that it is in.

        Raises:
            InvalidSpec: It cannot be imported.
        """
        with self.guarded("cannot be imported"):
            if self.source is not None:
                return _executed(self.source, self.where)
            return importlib.import_module(self.where)

    def taken(self) -> Sequence[inspect.Parameter]:
        """The parameters that it takes.

        Raises:
            InvalidSpec: It does not say which.
        """
        target = self.target()
        with self.guarded("does not say which parameters it takes"):
            return tuple(inspect.signature(target).parameters.values())

    def named(self) -> frozenset[str] | None:
        """Names of its parameters; None where it takes any."""
        taken = self.taken()
        if any(one.kind is one.VAR_KEYWORD for one in taken):
            return None
        return frozenset(one.name for one in taken if one.kind in _BY_NAME)

    def needed(self) -> frozenset[str]:
        """Names of its parameters without a default."""
        return frozenset(
            one.name
            for one in self.taken()
            if one.kind in _BY_NAME and one.default is inspect.Parameter.empty
        )

    def versions(self) -> Mapping[str, str]:
        """The version of its package, or the digest of its file."""
        if self.source is not None:
            return {self.where: f"sha256:{_digest(self.source)}"}
        package = _distribution_of(self.where.partition(".")[0])
        return {package: version([package])}

    def guarded(self, what: str) -> AbstractContextManager[None]:
        """Contain its output, and raise whatever it raises as a fault of the spec."""
        return _guarded(self, what)


def _near(name: str, module: ModuleType) -> str:
    public = [other for other, one in vars(module).items() if other[:1] != "_" and callable(one)]
    return did_you_mean(name, public)


def _distribution_of(module: str) -> str:
    """Name of the distribution that brings this top-level module; its own if that is not known."""
    found = importlib.metadata.packages_distributions().get(module, [module])
    return found[0]


def _digest(source: bytes) -> str:
    return hashlib.sha256(source).hexdigest()


def _executed(source: bytes, where: str) -> ModuleType:
    """The file as a module, under a name that no other file or content has.

    It stays in sys.modules, where skops looks for the classes of its objects.
    """
    name = f"fairlead_family_{_digest(where.encode() + source)[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = where
    code = compile(source, where, "exec")
    linecache.cache[where] = (len(source), None, _text(source).splitlines(keepends=True), where)
    sys.modules[name] = module
    try:
        exec(code, vars(module))  # noqa: S102 - the spec names this file to be run
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _text(source: bytes) -> str:
    """For tracebacks: Python accepts comments that its encoding cannot decode."""
    try:
        return importlib.util.decode_source(source)
    except (SyntaxError, UnicodeDecodeError):
        return source.decode(errors="replace")


# ---- what it does ------------------------------------------------------------------------------


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Send its output to stderr, and restore the current folder afterwards."""
    with contextlib.chdir("."), contextlib.redirect_stdout(sys.stderr):
        yield


class Overdue(BaseException):
    """The user's code has not ended in its time. No `except Exception` of it catches this."""


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Interrupt what is done inside where it has not ended within so many seconds.

    That is by a signal, which reaches the main thread alone, between two instructions of Python or
    in a call that waits: elsewhere nothing is interrupted.

    Raises:
        Overdue: It has not.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise Overdue(f"it has not ended within {seconds:g} s")

    heeded = signal.signal(signal.SIGALRM, interrupt)
    before = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, heeded)
        signal.setitimer(signal.ITIMER_REAL, *before)


@contextlib.contextmanager
def _guarded(user: Reference, what: str) -> Iterator[None]:
    """Contain its output, and raise whatever it raises as a fault of the spec.

    Args:
        user: Whose code is run.
        what: What is wrong with it if it raises, as the rest of a sentence.

    Raises:
        InvalidSpec: It raised, were it an exit: in one line, after its place in the family's file.
    """
    try:
        with contained():
            yield
    except (InvalidSpec, KeyboardInterrupt):  # already worded as a fault of the spec; Ctrl-C
        raise
    except BaseException as error:
        place = _place(user.where, error)
        kind = "" if isinstance(error, Overdue) else f"{type(error).__name__}: "
        raised = f"{kind}{_message(error)}".removesuffix(": ")
        raise InvalidSpec(f"{place}{user.kind} {user.name!r} {what}: {raised}") from error


def _message(error: BaseException) -> str:
    try:
        return " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - the user's code, too; the exception's name is enough
        return ""


def _place(file: str, error: BaseException) -> str:
    """`file:line: ` of the fault, as far as it lies in the file."""
    if isinstance(error, SyntaxError) and error.filename == file and error.lineno:
        return f"{file}:{error.lineno}: "
    frames = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in frames if frame.f_code.co_filename == file]
    return f"{file}:{lines[-1]}: " if lines else ""
