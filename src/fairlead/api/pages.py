"""How lists are read in pages, and how an answer that has not changed is not sent again."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from http import HTTPStatus
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Header, Query
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from starlette.responses import Response

from fairlead.errors import Invalid
from fairlead.formatting import plain

Item = TypeVar("Item")

NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""A NUL in a text of JSON, which no database keeps; not a backslash before the five characters."""

Number = Annotated[int, Field(ge=0, le=2**63 - 1)]
Limit = Annotated[int, Query(ge=1, le=1000, description="Items of a page.")]
Cursor = Annotated[
    str | None,
    Query(max_length=1000, description="`next` of the page before; none for the first page."),
]
IfNoneMatch = Annotated[
    str | None, Header(max_length=1000, description="The `ETag` of an answer that is at hand.")
]


UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "It is as the client has it."}}


class Page(BaseModel, Generic[Item]):
    """Part of a list; `next` is the cursor of the following part, null at the end."""

    items: list[Item]
    next: str | None


def written(place: object) -> str:
    """A place in a list as a cursor."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def read(cursor: str | None, kind: Any) -> Any:
    """The place that a cursor stands for; None for the beginning.

    Raises:
        Invalid: It is none that this list has given.
    """
    if cursor is None:
        return None
    try:
        padded = cursor.encode() + b"=" * (-len(cursor) % 4)
        decoded = base64.b64decode(padded, altchars=b"-_", validate=True)
        found = TypeAdapter(kind).validate_json(decoded, strict=True)
    except (ValueError, ValidationError) as error:
        raise _none_of_ours() from error
    if NUL.search(decoded):
        raise _none_of_ours()
    return found


def _none_of_ours() -> Invalid:
    return Invalid("cursor: it is not the 'next' of an answer for this list; leave it out to begin")


def answer(value: object) -> Response:
    """The value as JSON, with the names that --json has."""
    return Response(encoded(value), media_type="application/json")


def page(items: object, following: object | None) -> Response:
    """A page, and where the next one begins."""
    return answer({"items": items, "next": None if following is None else written(following)})


def resource(value: object, known: str | None) -> Response:
    """One thing with its ETag; 304 without a body where the client has it already."""
    body = encoded(value)
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    tags = [each.strip().removeprefix("W/") for each in (known or "").split(",")]
    if tag in tags or "*" in tags:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def encoded(value: Any) -> bytes:
    """The value as JSON, with the names that --json has."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False).encode(
        "utf-8", "backslashreplace"
    )
