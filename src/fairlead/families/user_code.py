"""Running the user's code in Fairlead's own process, with its effects contained.

What it prints goes to stderr, the current folder is restored, and whatever it raises becomes a
fault of the spec that names the line of the user's file.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Iterator

from fairlead.errors import InvalidSpec


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Send its output to stderr, and restore the current folder afterwards."""
    with contextlib.chdir("."), contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def guarded(family: str, what: str) -> Iterator[None]:
    """Contain its output, and raise whatever it raises as a fault of the spec.

    Args:
        family: The family whose code is run, as the spec writes it.
        what: What is wrong with the family if it raises, as the rest of a sentence.

    Raises:
        InvalidSpec: It raised, were it an exit: in one line, after its place in the family's file.
    """
    try:
        with contained():
            yield
    except (InvalidSpec, KeyboardInterrupt):  # already worded as a fault of the spec; Ctrl-C
        raise
    except BaseException as error:
        place = _place(family.rpartition(":")[0], error)
        raised = f"{type(error).__name__}: {_text(error)}".removesuffix(": ")
        raise InvalidSpec(f"{place}family {family!r} {what}: {raised}") from error


def _text(error: BaseException) -> str:
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
