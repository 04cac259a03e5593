"""What a worker and its child say to each other.

Belongs here: the messages and their JSON form. Does not: pipes, processes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from fairlead.records import Digest, Result, TaskKind, Trial


@dataclass(frozen=True, kw_only=True)
class Job:
    """To the child: do this task."""

    kind: TaskKind
    study: str
    spec: str  # canonical JSON
    table: Digest
    sources: Mapping[str, Digest]
    trials: tuple[Trial, ...]


@dataclass(frozen=True, kw_only=True)
class Began:
    """From the child: libraries and data are loaded, and the task itself begins now."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """From the child: the results of a 'trials' task."""

    results: tuple[Result, ...]


@dataclass(frozen=True, kw_only=True)
class Refitted:
    """From the child: the artefact that a 'refit' task made."""

    candidate: Digest


@dataclass(frozen=True, kw_only=True)
class Raised:
    """From the child: the task raised an exception."""

    reason: str


Answer: TypeAlias = Began | Scored | Refitted | Raised


def encode(message: Job | Answer) -> bytes:
    """The message as JSON."""
    return json.dumps({"is": type(message).__name__, **asdict(message)}).encode()


def decode(content: bytes) -> Job | Answer:
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
    return Scored(results=tuple(Result(**{**r, "scores": tuple(r["scores"])}) for r in results))


_DECODERS: Mapping[str, Callable[[dict[str, Any]], Job | Answer]] = {
    "Job": _job,
    "Began": lambda _fields: Began(),
    "Scored": _scored,
    "Refitted": lambda fields: Refitted(**fields),
    "Raised": lambda fields: Raised(**fields),
}
