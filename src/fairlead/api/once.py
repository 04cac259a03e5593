"""Requests under a key are done once: who asks again is given the answer that is kept.

A client that lost its connection cannot know whether its POST was carried out. Where it sends an
`Idempotency-Key`, it may ask again under the same one. The ledger keeps the answer for a day; a
route whose change must not be made twice has it written in the transaction of that change
(`answer_with`), all others afterwards. Only what succeeded is kept: what was refused wrote nothing,
and may be asked again as soon as what stood in its way is gone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fairlead.api.pages import encoded
from fairlead.api.problems import problem, problem_of
from fairlead.errors import Conflict
from fairlead.ledger.interface import OpenRequest, Requests
from fairlead.ledger.store import requests_of
from fairlead.records import Answer, Request

HEADER = "Idempotency-Key"
_KEY = re.compile(r'"?([!#-~]{1,255})"?')  # in quotes too, as the draft of the IETF has it
_REPLAYED = {"Idempotency-Replayed": "true"}
_SOON = {"Retry-After": "1"}

Found = TypeVar("Found")


class Once:
    """An ASGI app in front of another, behind the gate: the caller is known.

    Args:
        app: The one behind it; its ledger keeps the answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._in_progress: set[tuple[str, str]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with what is kept, or pass it on."""
        sent = Headers(scope=scope).get(HEADER) if scope["type"] == "http" else None
        if sent is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        key = _KEY.fullmatch(sent.strip())
        if key is None:
            said = f"{HEADER}: 1 to 255 visible characters of ASCII without quotes, not {sent!r}"
            await problem(HTTPStatus.BAD_REQUEST, "invalid", said)(scope, receive, send)
            return
        message = await receive()  # the gate gives the body in one piece
        request = Request(
            caller=scope["state"]["caller"].identity,
            key=key[1],
            digest=_digest(scope, message.get("body", b"")),
        )
        await self._alone(request, scope, _again(message, receive), send)

    async def _alone(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry it out unless this process does so already."""
        named = (request.caller, request.key)
        if named in self._in_progress:
            said = f"the request under the key {request.key!r} is being carried out; ask again soon"
            busy = problem(HTTPStatus.CONFLICT, "request_in_progress", said, headers=_SOON)
            await busy(scope, receive, send)
            return
        self._in_progress.add(named)
        try:
            requests = requests_of(scope["app"].state.installation.stores.ledger)
            answer = await self._kept(requests, request)
            if answer is not None:
                await answer(scope, receive, send)
            else:
                await self._carried_out(requests, request, scope, receive, send)
        finally:
            self._in_progress.remove(named)

    async def _kept(self, requests: Requests, request: Request) -> Response | None:
        try:
            found = await run_in_threadpool(requests.find, request)
        except Conflict as reused:
            return problem_of(reused)
        return None if found is None else _replayed(found)

    async def _carried_out(
        self, requests: Requests, request: Request, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """The answer waits until it is kept: who has heard it may rely on it."""
        messages: list[Message] = []

        async def waiting(message: Message) -> None:
            messages.append(message)

        with requests.once(request) as opened:
            scope["state"]["once"] = opened
            try:
                await self._app(scope, receive, waiting)
            except Exception:
                if not opened.is_answered_elsewhere:
                    raise
        if opened.is_answered_elsewhere:
            answer = await self._kept(requests, request)
            assert answer is not None  # written a moment ago
            await answer(scope, receive, send)
            return
        if not opened.is_kept_with_write and messages[0]["status"] < HTTPStatus.MULTIPLE_CHOICES:
            await run_in_threadpool(requests.keep, request, _answer(messages))
        for message in messages:
            await send(message)


def opened(request: HttpRequest) -> OpenRequest | None:
    """The request under a key that is being carried out; None where it has none."""
    found: OpenRequest | None = getattr(request.state, "once", None)
    return found


class Change:
    """What a route is about to do that must not be done twice.

    Args:
        request: The request under a key; None where there is none, and nothing is kept.
    """

    def __init__(self, request: OpenRequest | None) -> None:
        self._request = request

    def of(
        self,
        kind: type[Found] | tuple[type[Any], ...],
        answer: Callable[[Any], object],
        *,
        status: int = HTTPStatus.OK,
    ) -> None:
        """Say which write it is, by what that returns, and how it is answered."""
        if self._request is None:
            return

        def make(value: object) -> Answer | None:
            if not isinstance(value, kind):
                return None
            return Answer(body=encoded(answer(value)), status=status)

        self._request.answer_with(make)


def change(request: HttpRequest) -> Change:
    """For routes: what they are about to change."""
    return Change(opened(request))


def _digest(scope: Scope, body: bytes) -> str:
    """Of what is asked. That it is asked in another encoding is another request."""
    said = hashlib.sha256()
    for part in (scope["method"].encode(), scope["path"].encode(), scope["query_string"], body):
        said.update(len(part).to_bytes(8, "big") + part)
    return said.hexdigest()


def _again(message: Message, receive: Receive) -> Receive:
    """The message that was looked at, then what comes after it."""
    messages = [message]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


def _replayed(answer: Answer) -> Response:
    headers = {**_REPLAYED, **({"Location": answer.location} if answer.location else {})}
    return Response(answer.body, answer.status, headers, answer.media_type or None)


def _answer(messages: Sequence[Message]) -> Answer:
    headers = Headers(raw=messages[0]["headers"])
    body = b"".join(_body(message) for message in messages[1:])
    return Answer(
        body=body,
        status=messages[0]["status"],
        media_type=headers.get("content-type", ""),
        location=headers.get("location", ""),
    )


def _body(message: Any) -> bytes:
    found: bytes = message.get("body", b"")
    return found
