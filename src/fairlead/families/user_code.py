"""Code of the user's, run in Fairlead's own process.

Belongs here: what is kept of it from the rest of the run, and what becomes of whatever it raises.
Does not: which code that is, and what is asked of it (imported.py).
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Iterator

from fairlead.errors import InvalidSpec


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """What it prints goes to stderr, and where it goes is undone: neither is for the run."""
    with contextlib.chdir("."), contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def guarded(family: str, what: str) -> Iterator[None]:
    """Within, its output is contained and whatever it raises is a fault of the spec.

    Args:
        family: The family whose code is run, as the spec writes it.
        what: What is wrong with the family if it raises, as the rest of a sentence.

    Raises:
        InvalidSpec: It raised, were it an exit: in one line, after its place in the family's file.
    """
    try:
        with contained():
            yield
    except (InvalidSpec, KeyboardInterrupt):  # said in our own words already; Ctrl-C
        raise
    except BaseException as error:
        place = _place(family.rpartition(":")[0], error)
        said = f"{type(error).__name__}: {_text(error)}".removesuffix(": ")
        raise InvalidSpec(f"{place}family {family!r} {what}: {said}") from error


def _text(error: BaseException) -> str:
    try:
        return " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - its own code, too, and what it is called says enough
        return ""


def _place(file: str, error: BaseException) -> str:
    """`file:line: ` of the fault, as far as it lies in the file."""
    if isinstance(error, SyntaxError) and error.filename == file and error.lineno:
        return f"{file}:{error.lineno}: "
    frames = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in frames if frame.f_code.co_filename == file]
    return f"{file}:{lines[-1]}: " if lines else ""
