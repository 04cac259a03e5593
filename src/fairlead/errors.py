"""The one tree of errors.

    FairleadError
    |-- Transient            worth another try
    |   |-- Lost             the lease ended and another attempt has the task
    |   |-- Busy             the ledger did not let this write in for too long
    |   |-- Unreachable      a server or a file system did not answer
    |   |-- DiskFull         a disk has no room: nothing was written
    |   |-- Overloaded       more is asked at once than may be
    |   |-- NotLoaded        the model is not loaded, and did not load in time
    |   `-- OutOfService     the model has no traffic: somebody took it out of service
    `-- Permanent            no other try will help
        |-- Invalid          the request is wrong: exit status 2, nothing was written
        |   |-- InvalidSpec  ... in the user's document, with line and column
        |   |-- InvalidData  ... in the data
        |   |-- TooLarge     ... it is larger than it may be
        |   `-- NotFound     ... it names a study, model, version or trial that is not there
        `-- Failed           the work failed: exit status 1
            |-- Diverged     the loss of a fit is no finite number any more
            |-- Corrupt      bytes that are not what their digest says
            |-- Unexportable a model that has no ONNX form
            |-- Forbidden    a right is missing: it works once somebody gives it
            `-- Conflict     somebody else changed it first

A message is written where the fault is seen: what was being done, the value, and what to do about
it. `code` is stable, so that a program can tell errors apart without reading the message. What may
be asked for next stands apart from the message, as `NextStep`s: the CLI words them as commands, an
API as links.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

Value: TypeAlias = str | int | bool | None


@dataclass(frozen=True)
class NextStep:
    """A request that leads on from an error.

    Args:
        action: Name of the request, such as "deploy" or "route".
        arguments: Of the request, by name, in the order in which they are given. A value that the
            person has to choose is None; a flag is True.
        effect: What it does, as the end of a sentence that begins with it: "brings a version in".
    """

    action: str
    arguments: Mapping[str, Value] = field(default_factory=dict)
    effect: str = ""


class FairleadError(Exception):
    """Anything that Fairlead raises on purpose.

    Args:
        message: One line: what was being done, the value, what to do about it.
        code: Stable name of the case; the class's own where none is given.
        next_steps: Requests that lead on from here, the likeliest first.
    """

    default_code: ClassVar[str] = "error"

    def __init__(
        self, message: str = "", *, code: str | None = None, next_steps: Sequence[NextStep] = ()
    ) -> None:
        super().__init__(message)
        self.code = code or self.default_code
        self.next_steps = tuple(next_steps)


class Transient(FairleadError):
    """Worth another try."""

    default_code = "transient"


class Lost(Transient):
    """The lease ended and another attempt has the task."""

    default_code = "lost"


class Busy(Transient):
    """The ledger let no write in for longer than it should."""

    default_code = "busy"


class Unreachable(Transient):
    """A server or a file system did not answer."""

    default_code = "unreachable"


class DiskFull(Transient):
    """A disk has no room; nothing was written, and once somebody made some, it can be."""

    default_code = "disk_full"


STORE_IS_AWAY = (Busy, DiskFull, Unreachable)
"""What a ledger or an artefact store raises where waiting for it helps."""


class Overloaded(Transient):
    """More is asked at once than may be."""

    default_code = "overloaded"


class NotLoaded(Transient):
    """The model is not loaded, and did not load in time."""

    default_code = "not_loaded"


class OutOfService(Transient):
    """The model has no traffic: somebody took it out of service."""

    default_code = "out_of_service"


class Permanent(FairleadError):
    """No other try will help."""

    default_code = "permanent"


def described(error: BaseException) -> str:
    """What an error says, in one line; one that is none of ours with its kind before it."""
    text = " ".join(str(error).split())
    return text if isinstance(error, FairleadError) else f"{type(error).__name__}: {text}"


class Invalid(Permanent):
    """The request is wrong: one line, exit status 2, nothing written."""

    default_code = "invalid"


class InvalidSpec(Invalid):
    """The user's document is wrong; the message begins with `file:line:column:` where known."""

    default_code = "invalid_spec"


class InvalidData(Invalid):
    """The data cannot be used as the spec asks."""

    default_code = "invalid_data"


class TooLarge(Invalid):
    """The request is larger than it may be."""

    default_code = "too_large"


class NotFound(Invalid):
    """The request names something that is not there."""

    default_code = "not_found"


class Failed(Permanent):
    """The work failed: exit status 1."""

    default_code = "failed"


class Diverged(Failed):
    """The loss of a fit, or a weight, is no finite number any more: these parameters fail."""

    default_code = "diverged"


class Corrupt(Failed):
    """Bytes are not what their digest says."""

    default_code = "corrupt"


class Unexportable(Failed):
    """The model has no ONNX form."""

    default_code = "unexportable"


class Forbidden(Failed):
    """A right is missing, or a quota is used up: it works once somebody gives it."""

    default_code = "not_allowed"


class Conflict(Failed):
    """Somebody else changed it first."""

    default_code = "conflict"
