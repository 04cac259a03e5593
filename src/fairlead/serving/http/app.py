"""The ASGI application: one request, from its head to its response.

There is no framework between the server and the engine: the paths are one pure function
(serving/request.py), and predicting is all that has to be fast.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from http import HTTPStatus
from time import perf_counter
from typing import Any, TypeAlias
from urllib.parse import quote

from fairlead.serving.http.body import Receive
from fairlead.serving.http.guard import Guard
from fairlead.serving.http.pages import Pages
from fairlead.serving.http.predicting import Predicting
from fairlead.serving.http.response import (
    CLOSE,
    Answer,
    Gone,
    Headers,
    Refused,
    headers_of,
    of_error,
)
from fairlead.serving.request import RequestContext, Target, given_id, made_ids, target
from fairlead.serving.settings import Limits
from fairlead.serving.telemetry.request_observer import RequestObserver

Send: TypeAlias = Callable[[Any], Awaitable[None]]  # ASGI's

_START, _BODY = "http.response.start", "http.response.body"
_REQUEST_ID = b"x-request-id"
_REVISION = b"fairlead-revision"


class App:
    """The ASGI application.

    Args:
        guard: Checks who may ask.
        pages: The routes that predict nothing.
        predicting: Those that predict.
        observer: Called at the start and end of each request.
        limits: Of this process.
    """

    def __init__(
        self,
        *,
        guard: Guard,
        pages: Pages,
        predicting: Predicting,
        observer: RequestObserver,
        limits: Limits,
    ) -> None:
        self._guard = guard
        self._pages = pages
        self._predicting = predicting
        self._observer = observer
        self._limits = limits
        self._ids = made_ids()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens.

        Raises:
            ValueError: It is no request over HTTP; ASGI's servers take that for an answer.
        """
        if scope["type"] != "http":
            raise ValueError(f"only HTTP is answered, not {scope['type']!r}")
        request = self._request(scope)
        self._observer.began(request)
        try:
            answer = await self._answer(request, receive)
        except Gone:
            self._observer.left(request)
            return
        except Exception as error:  # noqa: BLE001 - no request brings the process down
            request.error = error
            answer = of_error(error)
        self._observer.answered(request, answer.status)
        _forget(request)
        await self._respond(request, answer, receive, send)

    def _request(self, scope: MutableMapping[str, Any]) -> RequestContext:
        headers = dict(scope["headers"])
        path = scope.get("raw_path") or quote(scope["path"]).encode()
        return RequestContext(
            method=scope["method"],
            path=path,
            headers=headers,
            id=given_id(headers) or next(self._ids),
            began=perf_counter(),
            target=target(path),
            query=scope["query_string"],
        )

    async def _answer(self, request: RequestContext, receive: Receive) -> Answer:
        found = request.target
        self._guard.check(found, request.headers)
        if found is None:
            raise Refused(
                HTTPStatus.NOT_FOUND, "no such path; GET /docs lists those that there are"
            )
        if request.query and found.posted:
            raise _no_parameters(request.query)
        if request.method == "POST" and found.posted:
            return await self._predicting.answer(request, found, receive)
        if request.method not in found.methods:
            raise _wrong_method(request.method, found)
        if request.method == "OPTIONS":
            return Answer(status=HTTPStatus.NO_CONTENT, headers=(_allow(found),))
        return await self._pages.answer(found)

    async def _respond(
        self, request: RequestContext, answer: Answer, receive: Receive, send: Send
    ) -> None:
        """Send the answer; a connection with a large unread body is closed behind it."""
        headers = headers_of(answer, *_headers(request))
        closing = request.leaves_much or CLOSE in answer.headers
        if closing and CLOSE not in headers:
            headers = (*headers, CLOSE)
        await send({"type": _START, "status": answer.status, "headers": headers})
        if closing:
            await send({"type": _BODY, "body": answer.body, "more_body": True})
            await self._discard_rest(receive)
        await send({"type": _BODY, "body": b"" if closing else answer.body})

    async def _discard_rest(self, receive: Receive) -> None:
        """Read the rest of the body: a client that still sends would not read the response."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.linger_seconds):
                while (await receive()).get("more_body", False):
                    pass


def _headers(request: RequestContext) -> Headers:
    """Those of any answer to this request."""
    if request.revision:
        return (_REQUEST_ID, request.id), (_REVISION, request.revision.encode())
    return ((_REQUEST_ID, request.id),)


def _forget(request: RequestContext) -> None:
    """Let go of what the error's frames hold, the body for one, now that it has been answered.

    They and the request hold each other: without this they would stay until the collector comes
    round, and refused bodies would pile up meanwhile.
    """
    error: BaseException | None = request.error
    request.error = None
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def _allow(found: Target) -> tuple[bytes, bytes]:
    return (b"allow", ", ".join(found.methods).encode())


def _no_parameters(query: bytes) -> Refused:
    return Refused(
        HTTPStatus.BAD_REQUEST,
        f"the query string {query[:80].decode('latin-1')!r} is not for this server; one revision "
        "is asked by the header Fairlead-Revision or by .../versions/V in the path",
    )


def _wrong_method(method: str, found: Target) -> Refused:
    return Refused(
        HTTPStatus.METHOD_NOT_ALLOWED,
        f"this path does not take {method}, but {' and '.join(found.methods)}",
        _allow(found),
    )
