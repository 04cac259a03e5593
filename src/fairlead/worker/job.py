"""What a worker and its child say to each other.

Every message about an attempt carries its fencing token: an answer to another is no answer. Belongs
here: the messages and their JSON form, a line each. Does not: pipes, processes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from fairlead.records import Digest, Result, TaskKind, Trial


@dataclass(frozen=True, kw_only=True)
class Job:
    """To the child: do this task."""

    token: int
    kind: TaskKind
    study: str
    spec: str  # canonical JSON
    table: Digest
    sources: Mapping[str, Digest]
    trials: tuple[Trial, ...]


@dataclass(frozen=True, kw_only=True)
class Open:
    """To the child: tasks of this study are to come."""

    study: str
    spec: str  # canonical JSON
    table: Digest
    sources: Mapping[str, Digest]


@dataclass(frozen=True, kw_only=True)
class Ready:
    """From the child: libraries and data of this study are loaded, before any task of it."""

    study: str


@dataclass(frozen=True, kw_only=True)
class Began:
    """From the child: libraries and data are loaded, and the task itself begins now."""

    token: int


@dataclass(frozen=True, kw_only=True)
class Scored:
    """From the child: the results of a 'trials' task."""

    token: int
    results: tuple[Result, ...]


@dataclass(frozen=True, kw_only=True)
class Refitted:
    """From the child: the artefact that a 'refit' task made."""

    token: int
    candidate: Digest


@dataclass(frozen=True, kw_only=True)
class Raised:
    """From the child: the task raised an exception, or the opening did (then the token is 0)."""

    token: int
    reason: str


Request: TypeAlias = Open | Job
Answer: TypeAlias = Ready | Began | Scored | Refitted | Raised


def encode(message: Request | Answer) -> bytes:
    """The message as a line of JSON."""
    fields = {"is": type(message).__name__, **vars(message)}
    return json.dumps(fields, default=_fields).encode() + b"\n"


def _fields(record: Any) -> Any:
    """A record or a mapping inside a message (`dataclasses.asdict` would copy it all)."""
    return dict(record) if isinstance(record, Mapping) else vars(record)


def decode(content: bytes) -> Request | Answer:
    """The message that `encode` wrote."""
    fields: dict[str, Any] = json.loads(content)
    return _DECODERS[fields.pop("is")](fields)


def _job(fields: dict[str, Any]) -> Job:
    return Job(**{**fields, "trials": tuple(map(_trial, fields["trials"]))})


def _trial(fields: dict[str, Any]) -> Trial:
    beyond = fields["stop_beyond"]
    return Trial(**{**fields, "stop_beyond": None if beyond is None else tuple(beyond)})


def _scored(fields: dict[str, Any]) -> Scored:
    results = fields["results"]
    read = tuple(Result(**{**result, "scores": tuple(result["scores"])}) for result in results)
    return Scored(token=fields["token"], results=read)


_DECODERS: Mapping[str, Callable[[dict[str, Any]], Request | Answer]] = {
    "Open": lambda fields: Open(**fields),
    "Job": _job,
    "Ready": lambda fields: Ready(**fields),
    "Began": lambda fields: Began(**fields),
    "Scored": _scored,
    "Refitted": lambda fields: Refitted(**fields),
    "Raised": lambda fields: Raised(**fields),
}
