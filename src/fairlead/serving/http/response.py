"""Responses, and which error is answered with which status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

import msgspec

from fairlead.errors import (
    Failed,
    FairleadError,
    Invalid,
    NotFound,
    NotLoaded,
    OutOfService,
    Overloaded,
    TooLarge,
)

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

JSON = (b"content-type", b"application/json")
BINARY = (b"content-type", b"application/octet-stream")
TEXT = (b"content-type", b"text/plain; charset=utf-8")
CLOSE = (b"connection", b"close")
_SOON = (b"retry-after", b"1")
_FIRST_LINES: Mapping[int, bytes] = {
    status: f"HTTP/1.1 {status} {status.phrase}\r\n".encode() for status in HTTPStatus
}


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One answer; its length is added by `headers_of`."""

    status: int = 200
    headers: Headers = (JSON,)
    body: bytes = b""


class Refused(Invalid):
    """A request that this server does not take, with the status that says so.

    Args:
        status: Of the answer, 4xx.
        message: What is wrong, and what to do.
        headers: To go with it.
    """

    def __init__(self, status: int, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.status = status
        self.headers: Headers = headers


class Gone(Exception):
    """The client left before its request was whole; nobody waits for an answer."""


# The first that fits counts.
_STATUSES: Mapping[type[Exception], tuple[int, Headers]] = {
    TooLarge: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, ()),
    NotFound: (HTTPStatus.NOT_FOUND, ()),
    Invalid: (HTTPStatus.BAD_REQUEST, ()),
    Overloaded: (HTTPStatus.TOO_MANY_REQUESTS, (_SOON,)),
    NotLoaded: (HTTPStatus.SERVICE_UNAVAILABLE, (_SOON,)),
    OutOfService: (HTTPStatus.SERVICE_UNAVAILABLE, ()),  # nobody knows until when
    Failed: (HTTPStatus.INTERNAL_SERVER_ERROR, ()),
}


def of_document(document: Any, *, status: int = 200) -> Answer:
    """The answer that is this document, as JSON."""
    return Answer(status=status, body=msgspec.json.encode(document))


def of_error(error: Exception) -> Answer:
    """The answer to a request that ended so, in the Open Inference Protocol's form of errors.

    What is no error of ours says nothing of itself to the client: it may hold anything.
    """
    if isinstance(error, Refused):
        return refusal(error.status, str(error), *error.headers)
    for kind, (status, headers) in _STATUSES.items():
        if isinstance(error, kind):
            return refusal(status, str(error), *headers)
    if isinstance(error, FairleadError):
        return refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(error), _SOON)
    return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "an error of this server; its log has more")


def refusal(status: int, message: str, *headers: tuple[bytes, bytes]) -> Answer:
    """An answer that says what is wrong."""
    body = msgspec.json.encode({"error": message})
    return Answer(status=status, headers=(JSON, *headers), body=body)


def headers_of(answer: Answer, *more: tuple[bytes, bytes]) -> Headers:
    """Its own headers, these, and its length, which 204 must not have (RFC 9110, 8.6)."""
    headers = (*answer.headers, *more)
    if answer.status == HTTPStatus.NO_CONTENT:
        return headers
    return (*headers, (b"content-length", b"%d" % len(answer.body)))


def written(status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    """A response as it goes over a connection."""
    lines = [b"%b: %b\r\n" % header for header in headers]
    return b"".join((_FIRST_LINES[status], *lines, b"\r\n", body))
