"""Answering requests: the ASGI application.

Belongs here: the way of one request from its head to its answer. Does not: connections (http.py),
what the bytes of a prediction mean (protocol.py, rows.py), predicting (engine.py), and the routes
that predict nothing (pages.py).

There is no framework between the server and the engine: the routes are one pure function
(paths.py), and predicting is all that has to be fast.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from http import HTTPStatus
from time import perf_counter
from typing import Any, TypeAlias

from fairlead.serving.http.body import Receive
from fairlead.serving.http.guard import Guard
from fairlead.serving.http.limits import Limits
from fairlead.serving.http.pages import Pages
from fairlead.serving.http.paths import Target, target
from fairlead.serving.http.predicting import Predicting
from fairlead.serving.http.request_context import Visit, given_id, made_ids
from fairlead.serving.http.response import CLOSE, Answer, Gone, Headers, Refused, of_error
from fairlead.serving.http.response_writer import EXCHANGE, Exchange
from fairlead.serving.telemetry.request_observer import Witness

Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_REQUEST_ID = b"x-request-id"
_REVISION = b"fairlead-revision"


class App:
    """The ASGI application.

    Args:
        guard: Who may ask.
        pages: The routes that predict nothing.
        predicting: Those that predict.
        witness: Told of each request that was answered.
        limits: Of this process.
    """

    def __init__(
        self,
        *,
        guard: Guard,
        pages: Pages,
        predicting: Predicting,
        witness: Witness,
        limits: Limits,
    ) -> None:
        self._guard = guard
        self._pages = pages
        self._predicting = predicting
        self._witness = witness
        self._limits = limits
        self._ids = made_ids()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, _: Send) -> None:
        """Answer one request, whatever happens."""
        exchange: Exchange = scope["extensions"].pop(EXCHANGE)  # it holds the scope: a ring
        visit = self._visit(scope, exchange)
        self._witness.began(visit)
        try:
            answer = await self._answer(visit, receive)
        except Gone:
            self._witness.left(visit)
            return
        except Exception as error:  # noqa: BLE001 - no request brings the process down
            visit.error = error
            answer = of_error(error)
        self._witness.answered(visit, answer.status)
        _forget(visit)
        await self._send(exchange, visit, answer, receive)

    def _visit(self, scope: MutableMapping[str, Any], exchange: Exchange) -> Visit:
        heads = dict(scope["headers"])
        path = scope["raw_path"]
        return Visit(
            method=scope["method"],
            path=path,
            heads=heads,
            id=given_id(heads) or next(self._ids),
            began=perf_counter(),
            target=target(path),
            whole=exchange.whole,
            query=scope["query_string"],
        )

    async def _answer(self, visit: Visit, receive: Receive) -> Answer:
        found = visit.target
        self._guard.check(found, visit.heads)
        if found is None:
            raise Refused(
                HTTPStatus.NOT_FOUND, "nothing stands at this path; GET /docs tells what does"
            )
        if visit.query and found.posted:
            raise _no_parameters(visit.query)
        if visit.method == "POST" and found.posted:
            return await self._predicting.answer(visit, found, receive)
        if visit.method not in found.methods:
            raise _wrong_method(visit.method, found)
        if visit.method == "OPTIONS":
            return Answer(status=HTTPStatus.NO_CONTENT, headers=(_allow(found),))
        return await self._pages.answer(found)

    async def _send(
        self, exchange: Exchange, visit: Visit, answer: Answer, receive: Receive
    ) -> None:
        """Send the answer; where a body was left unread, the connection is closed behind it."""
        last = visit.leaves_much or CLOSE in answer.headers
        await exchange.answer(answer, _headers(visit), last=last)
        if last:
            await self._throw_away(receive)
        exchange.end()

    async def _throw_away(self, receive: Receive) -> None:
        """Take the body in: a client that still sends would not look for the answer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.linger_seconds):
                while (await receive()).get("more_body", False):
                    pass


def _headers(visit: Visit) -> Headers:
    """Those of any answer to this request."""
    if visit.revision:
        return (_REQUEST_ID, visit.id), (_REVISION, visit.revision.encode())
    return ((_REQUEST_ID, visit.id),)


def _forget(visit: Visit) -> None:
    """Let go of what the error's frames hold, the body for one, now that it has been told.

    They and the visit hold each other: without this they would stay until the collector comes
    round, and refused bodies would pile up meanwhile.
    """
    error: BaseException | None = visit.error
    visit.error = None
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
