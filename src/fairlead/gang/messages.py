"""The messages between the driver of a shared fit and its ranks, and their JSON form.

A rank says Hello and is let in (Welcome) or not (Refused). It is told which fit is computed (Open)
and answers Opened once it has what that needs. From then on it gets the state of a step (Step) and
numbers of parts to compute (Compute), one at a time, each of which it answers with Answer or
Raised. Meanwhile it says Alive now and then: one that says nothing is stopped, or its machine is
gone. At End it ends. Ranks that add their gradients among themselves are told where each is (Peers)
once all are there.

Step and Answer come with float32 numbers, which follow the JSON in the frame (wire.py).
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from fairlead.gang.work import FitJob, WorkKind


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From a rank: who it is."""

    rank: int
    host: str
    process: int
    port: int = 0  # that is free on its machine, where ranks find each other


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To a rank: it is let in."""


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To a rank: it is not let in now."""

    reason: str


class Peers(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To a rank: where each rank of the gang listens, by their numbers; before any fit."""

    addresses: tuple[str, ...]


class Open(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To a rank: this fit is computed from now on."""

    job: int  # its number, from 1
    fit: FitJob


class Opened(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From a rank: it has what the fit needs."""

    job: int


class Step(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To a rank: the step that the next parts are of; with the state."""

    job: int
    kind: WorkKind
    step: int
    parts: int


class Compute(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To a rank: compute this part of the step that was sent last."""

    number: int


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From a rank: what the part gave; with its vector."""

    job: int
    step: int
    number: int


class Raised(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From a rank: an exception, of a part or (without a number) of opening the fit."""

    job: int
    reason: str
    code: str = "failed"
    transient: bool = False  # no fault of the fit: the artefact store did not answer
    step: int | None = None
    number: int | None = None


class Alive(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From a rank: its process runs, whatever it computes."""


class End(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To a rank: the gang is over."""


ToRank: TypeAlias = Welcome | Refused | Peers | Open | Step | Compute | End
FromRank: TypeAlias = Hello | Opened | Answer | Raised | Alive

_ENCODER = msgspec.json.Encoder()
_TO_RANK: msgspec.json.Decoder[ToRank] = msgspec.json.Decoder(ToRank)
_FROM_RANK: msgspec.json.Decoder[FromRank] = msgspec.json.Decoder(FromRank)


def encode(message: ToRank | FromRank) -> bytes:
    """The message as JSON."""
    return _ENCODER.encode(message)


def to_rank(content: bytes | bytearray) -> ToRank:
    """A message to a rank.

    Raises:
        ValueError: It is none.
    """
    return _TO_RANK.decode(content)


def from_rank(content: bytes | bytearray) -> FromRank:
    """A message from a rank.

    Raises:
        ValueError: It is none.
    """
    return _FROM_RANK.decode(content)
