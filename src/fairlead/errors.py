"""The one tree of errors.

    FairleadError
    |-- Transient            worth another try
    |   |-- Lost             the lease ended and another attempt has the task
    |   |-- Busy             the ledger did not let this write in for too long
    |   |-- Unreachable      a server or a file system did not answer
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
            |-- Corrupt      bytes that are not what their digest says
            |-- Unexportable a model that has no ONNX form
            `-- Conflict     somebody else changed it first

Belongs here: kinds of errors that a caller tells apart. Does not: messages, which are written
where the fault is seen and say what was being done, the value, and what to do about it.
"""

from __future__ import annotations


class FairleadError(Exception):
    """Anything that Fairlead raises on purpose."""


class Transient(FairleadError):
    """Worth another try."""


class Lost(Transient):
    """The lease ended and another attempt has the task."""


class Busy(Transient):
    """The ledger let no write in for longer than it should."""


class Unreachable(Transient):
    """A server or a file system did not answer."""


class Overloaded(Transient):
    """More is asked at once than may be."""


class NotLoaded(Transient):
    """The model is not loaded, and did not load in time."""


class OutOfService(Transient):
    """The model has no traffic: somebody took it out of service."""


class Permanent(FairleadError):
    """No other try will help."""


class Invalid(Permanent):
    """The request is wrong: one line, exit status 2, nothing written."""


class InvalidSpec(Invalid):
    """The user's document is wrong; the message begins with `file:line:column:` where known."""


class InvalidData(Invalid):
    """The data cannot be used as the spec asks."""


class TooLarge(Invalid):
    """The request is larger than it may be."""


class NotFound(Invalid):
    """The request names something that is not there."""


class Failed(Permanent):
    """The work failed: exit status 1."""


class Corrupt(Failed):
    """Bytes are not what their digest says."""


class Unexportable(Failed):
    """The model has no ONNX form."""


class Conflict(Failed):
    """Somebody else changed it first."""
