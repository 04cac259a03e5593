"""The messages between a worker and its child, and their JSON form.

A message is a line: a JSON object with the fields of its class, and the class's name under `is`.
Every message about an attempt carries its fencing token, by which an answer to another attempt is
recognised. A study is opened ahead (OpenStudy, StudyReady) or by its first task (TaskRequest,
Began); each task then ends with TrialsScored, Refitted or Raised, and while a fit of it goes on
FitProgressed tells how far it is, and Noted what a person should know of it. Before there is a
study, CheckFamilies is answered with FamiliesChecked or Raised.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from fairlead.records import Digest, FitProgress, Params, Result, TaskKind, Trial

if TYPE_CHECKING:
    from fairlead.families.family import Task


@dataclass(frozen=True, kw_only=True)
class TaskRequest:
    """To the child: execute this task."""

    token: int
    kind: TaskKind
    study: str
    spec: str  # canonical JSON
    table: Digest
    sources: Mapping[str, Digest]
    trials: tuple[Trial, ...]
    checkpoint: Digest | None = None  # the last one that an earlier attempt made


@dataclass(frozen=True, kw_only=True)
class OpenStudy:
    """To the child: load what tasks of this study need."""

    study: str
    spec: str  # canonical JSON
    table: Digest
    sources: Mapping[str, Digest]


@dataclass(frozen=True, kw_only=True)
class CheckFamilies:
    """To the child: check these families (training/check.py)."""

    names: Sequence[str]
    params: Sequence[Params]
    texts: Sequence[Mapping[str, Sequence[str]]]
    whole: Sequence[Mapping[str, tuple[int, int]]]
    sources: Mapping[str, str]  # base64
    task: Task
    to_export: bool
    shared: bool = False
    elsewhere: bool = False
    dry_run: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class FamiliesChecked:
    """From the child: nothing is wrong with the families of a CheckFamilies."""

    remarks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StudyReady:
    """From the child: libraries and data of the study of an OpenStudy are loaded."""

    study: str


@dataclass(frozen=True, kw_only=True)
class Began:
    """From the child: libraries and data are loaded, and the task itself begins now."""

    token: int


@dataclass(frozen=True, kw_only=True)
class Noted:
    """From the child: what a person should know of the attempt, a line for the worker's log."""

    token: int
    text: str


@dataclass(frozen=True, kw_only=True)
class FitProgressed:
    """From the child: how far a fit of the task is. It may come at any rate, and ends nothing."""

    token: int
    progress: FitProgress


@dataclass(frozen=True, kw_only=True)
class TrialsScored:
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
    """From the child: the task raised an exception; with token 0, another request did."""

    token: int
    reason: str
    transient: bool = False  # no fault of the task: the artefact store did not answer
    final: bool = False  # another attempt would raise the same


Request: TypeAlias = OpenStudy | TaskRequest | CheckFamilies
Answer: TypeAlias = FamiliesChecked | StudyReady | Began | TrialsScored | Refitted | Raised
Told: TypeAlias = FitProgressed | Noted
Message: TypeAlias = Request | Answer | Told


def encode(message: Message) -> bytes:
    """The message as a line of JSON."""
    fields = {"is": type(message).__name__, **vars(message)}
    return json.dumps(fields, default=_fields).encode() + b"\n"


def _fields(record: Any) -> Any:
    """A record or a mapping inside a message (`dataclasses.asdict` would copy it all)."""
    return dict(record) if isinstance(record, Mapping) else vars(record)


def decode(content: bytes) -> Message:
    """The message that `encode` wrote."""
    fields: dict[str, Any] = json.loads(content)
    if not isinstance(fields, dict):
        raise TypeError("a message is an object")
    return _DECODERS[fields.pop("is")](fields)


def _task_request(fields: dict[str, Any]) -> TaskRequest:
    return TaskRequest(**{**fields, "trials": tuple(map(_trial, fields["trials"]))})


def _trial(fields: dict[str, Any]) -> Trial:
    bounds = ("stop_beyond", "stop_beyond_epoch")
    listed = {name: None if fields[name] is None else tuple(fields[name]) for name in bounds}
    return Trial(**{**fields, **listed})


def _fit_progressed(fields: dict[str, Any]) -> FitProgressed:
    return FitProgressed(token=fields["token"], progress=FitProgress(**fields["progress"]))


def _trials_scored(fields: dict[str, Any]) -> TrialsScored:
    results = fields["results"]
    return TrialsScored(token=fields["token"], results=tuple(map(_result, results)))


def _result(fields: dict[str, Any]) -> Result:
    listed = {name: tuple(fields[name]) for name in ("scores", "curve")}
    return Result(**{**fields, **listed})


_DECODERS: Mapping[str, Callable[[dict[str, Any]], Message]] = {
    "CheckFamilies": lambda fields: CheckFamilies(**fields),
    "FamiliesChecked": lambda fields: FamiliesChecked(remarks=tuple(fields["remarks"])),
    "OpenStudy": lambda fields: OpenStudy(**fields),
    "TaskRequest": _task_request,
    "StudyReady": lambda fields: StudyReady(**fields),
    "Began": lambda fields: Began(**fields),
    "FitProgressed": _fit_progressed,
    "Noted": lambda fields: Noted(**fields),
    "TrialsScored": _trials_scored,
    "Refitted": lambda fields: Refitted(**fields),
    "Raised": lambda fields: Raised(**fields),
}
