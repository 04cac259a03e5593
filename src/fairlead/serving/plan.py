"""The messages between a supervisor and its serving processes: one JSON line each.

A plan is complete: it names every revision to hold and every route, so that a process that starts,
or that missed a plan, needs only the last one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from fairlead.records import Allowance, Digest, Signature
from fairlead.serving.telemetry.counters import Counts


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the check of a revision found out about its model (check.py)."""

    steady: bool  # a row's prediction does not depend on how many rows are asked together
    missing: bool  # it was trained to take missing numbers
    seconds: float  # that one row takes, among 64
    size: int  # bytes of the model's file
    compact: Digest | None = None  # the artefact of the same model in ONNX Runtime's own format


@dataclass(frozen=True, kw_only=True)
class Held:
    """A revision that a serving process is to hold."""

    model: str
    revision: str
    version: int
    file: Digest  # of its ONNX form in the artefact store
    signature: Signature
    facts: Facts
    allowance: Allowance
    edges: tuple[float, ...] = ()  # between the bins that its predictions are counted in


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A revision that has traffic and is not held."""

    version: int
    why: str  # the answer to whoever asks for it


@dataclass(frozen=True, kw_only=True)
class Split:
    """How the traffic of one model is split."""

    model: str
    route: int  # number of the route; 0 before there is one
    traffic: Mapping[str, int]  # percent by revision; empty where no revision has any
    sticky: str | None = None
    missing: Mapping[str, Missing] = field(default_factory=dict)  # of the traffic, by revision
    out: str = ""  # since when and why the model is out of service, if it is


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """What every serving process of the server answers of a model, by their reports.

    A process knows itself alone. Whoever asks it whether a model is ready may be answered by
    another one the next time, so it says so only of what is confirmed.
    """

    traffic: bool = False  # requests that name no revision
    revisions: tuple[str, ...] = ()  # requests that name one of these


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that a serving process is to do, from now on."""

    serial: int
    held: tuple[Held, ...] = ()
    splits: tuple[Split, ...] = ()
    confirmed: Mapping[str, Confirmed] = field(default_factory=dict)  # by model
    lacking: str = ""  # why a process with this plan is not ready; empty: it is


@dataclass(frozen=True, kw_only=True)
class Admit:
    """The tokens that are admitted, from now on."""

    tokens: tuple[str, ...]  # SHA-256 of their tokens; empty: everybody on this machine


@dataclass(frozen=True, kw_only=True)
class Drain:
    """Be ready no more, finish what is in hand, and end."""

    seconds: float  # that this may take


@dataclass(frozen=True, kw_only=True)
class Report:
    """How far a serving process is; sent at each change.

    A plan is applied once each of its routes is followed; a model whose new revisions cannot be
    loaded keeps the route that it had, with the reason in `faults`. Until all that the plan holds
    of a model is loaded, the model is `behind`, even where the route itself is no new one.
    """

    serial: int  # of the last plan that was received
    routes: Mapping[str, int] = field(default_factory=dict)  # model to the route that is followed
    faults: Mapping[str, str] = field(default_factory=dict)  # model to why its route is not
    draining: tuple[tuple[str, str], ...] = ()  # (model, revision) that still answer requests
    behind: tuple[str, ...] = ()  # models that are not yet as the plan wants them


@dataclass(frozen=True, kw_only=True)
class Alive:
    """The event loop runs; sent every `BEAT` seconds by a process that answers requests."""

    at: float  # by the machine's rising clock: what was counted until then has been reported


BEAT = 1.0
"""Seconds."""


@dataclass(frozen=True, kw_only=True)
class Scrape:
    """A process is asked for the metrics page, which only its supervisor can write."""

    number: int  # of this question, rising from 1


@dataclass(frozen=True, kw_only=True)
class Page:
    """The page for Prometheus, with all that the process had reported before it asked."""

    number: int  # of the last question that this answers; it answers those before it, too
    text: str


Message: TypeAlias = Plan | Admit | Drain | Report | Alive | Counts | Scrape | Page
_KINDS: Mapping[str, type[Message]] = {
    "plan": Plan,
    "admit": Admit,
    "drain": Drain,
    "report": Report,
    "alive": Alive,
    "counts": Counts,
    "scrape": Scrape,
    "page": Page,
}


def encode(message: Message) -> bytes:
    """The message as one line."""
    kind = type(message).__name__.lower()
    return msgspec.json.encode({"kind": kind, "message": message}) + b"\n"


def decode(line: bytes) -> Message:
    """The message that `encode` wrote.

    Raises:
        msgspec.DecodeError: It is none.
    """
    envelope = msgspec.json.decode(line, type=_Envelope)
    message: Message = msgspec.json.decode(envelope.message, type=_KINDS[envelope.kind])
    return message


class _Envelope(msgspec.Struct):
    kind: str
    message: msgspec.Raw
