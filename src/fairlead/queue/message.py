"""A hint as bytes: a JSON object of a few dozen bytes that says which schema it follows."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from fairlead.errors import Invalid
from fairlead.queue.interface import Hint

VERSION: Literal[1] = 1
LARGEST = 4096
"""Bytes that a message may have; a hint has about sixty."""


class _Message(msgspec.Struct, frozen=True, kw_only=True):
    version: Literal[1]
    study: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    ready: Annotated[int, msgspec.Meta(ge=1)]


def encoded(hint: Hint) -> bytes:
    """The message of a hint."""
    return msgspec.json.encode(_Message(version=VERSION, study=hint.study, ready=hint.ready))


def decoded(body: bytes) -> Hint:
    """The hint of a message. Fields that are not known are let pass: a later release has more.

    Raises:
        Invalid: It is no message of this schema; says why.
    """
    if len(body) > LARGEST:
        raise Invalid(f"{len(body)} bytes, of at most {LARGEST}")
    try:
        message = msgspec.json.decode(body, type=_Message)
    except msgspec.ValidationError as error:
        raise Invalid(f"not of schema version {VERSION}: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"not JSON: {error}") from None
    return Hint(study=message.study, ready=message.ready)
