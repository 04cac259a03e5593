"""The gate: every request passes it, and what it does not let in reaches no route.

It knows who asks (a token, or this machine where there is none), refuses what the role may not,
keeps web pages of other hosts out, bounds each body and what all hold together, refuses texts that
no database keeps, and turns a fault into a problem document.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fairlead.api import bodies, ledger_rights
from fairlead.api.access import LOCAL, MAY, OPEN, Access, Caller, Failures, needed
from fairlead.api.pages import NUL
from fairlead.api.problems import problem, problem_of, too_slow, unexpected
from fairlead.api.transfers import is_streamed
from fairlead.errors import Overloaded, TooLarge
from fairlead.serving.http.guard import Guard
from fairlead.serving.http.response import Refused

MOST = 64 * 1024
"""Bytes that a body may have; a call of the ledger or a spec may have more."""

HELD = 192 << 20
"""Bytes that the bodies of all requests may hold of the memory; those of one token half of it."""

_SUBMITTING = ("/api/v1/runs", 4 << 20)
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="fairlead"'}


class Gate:
    """An ASGI app in front of another.

    Args:
        app: The one behind it.
        access: Knows the tokens.
        host: The name or address that was asked to be bound.
        held: Bytes that the bodies of all requests may hold; those of one token half of it.
    """

    def __init__(self, app: ASGIApp, *, access: Access, host: str, held: int = HELD) -> None:
        self._app = app
        self._access = access
        self._host = Guard((), host)
        self._failures = Failures()
        self._held = bodies.Held(held)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal, caller = await self._admitted(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        if is_streamed(scope["method"], scope["path"]):
            await self._passed_on(scope, receive, send)
            return
        with self._held.one(caller.identity) as grown:
            body = await _body(scope, receive, grown)
            if isinstance(body, Response):
                await body(scope, receive, send)
                return
            await self._passed_on(scope, _replayed(body, receive), send)

    async def _admitted(self, scope: Scope) -> tuple[Response | None, Caller]:
        headers = Headers(scope=scope)
        if self._access.is_open():
            return self._foreign(scope), LOCAL
        if scope["path"] in OPEN and scope["method"] == "GET":
            return None, Caller(name="", role="viewer")
        caller = self._access.caller(headers.get("authorization", ""))
        if caller is None:
            await asyncio.sleep(self._failures.delay(_address(scope), time.monotonic()))
            text = "a valid token is required: send 'Authorization: Bearer TOKEN'"
            answer = problem(HTTPStatus.UNAUTHORIZED, "unauthorized", text, headers=_CHALLENGE)
            return answer, LOCAL
        need = needed(scope["method"], scope["path"])
        return (None if caller.may(need) else _forbidden(caller, need)), caller

    def _foreign(self, scope: Scope) -> Response | None:
        """What refuses a web page of another host, which only the browser of this machine runs."""
        try:
            self._host.check(None, dict(scope["headers"]))
        except Refused as refused:
            return problem(HTTPStatus(refused.status), "foreign_host", str(refused))
        return None

    async def _passed_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def observed(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, observed)
        except Exception as error:
            if begun:
                raise
            await unexpected(error)(scope, receive, send)


def _forbidden(caller: Caller, need: str) -> Response:
    roles = ", ".join(role for role, may in MAY.items() if need in may)
    text = (
        f"token {caller.name!r} has the role {caller.role!r}; this takes one of: {roles}; "
        "who runs the server can add a token of another role"
    )
    return problem(HTTPStatus.FORBIDDEN, "forbidden", text)


def _address(scope: Scope) -> str:
    """What failures are counted by: the address, of IPv6 the network that one customer has."""
    host = (scope.get("client") or ("",))[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return str(host)
    if address.version == 4:  # noqa: PLR2004 - IPv4
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))


async def _body(scope: Scope, receive: Receive, grown: Callable[[int], None]) -> bytes | Response:
    """The whole body, or what refuses it."""
    most = _most(scope["path"])
    try:
        bodies.refuse_announced(scope, most)
        body = await bodies.whole(receive, most, grown)
    except (TooLarge, Overloaded) as error:
        return problem_of(error)
    except (bodies.TooSlow, bodies.Disconnected):  # nobody hears the answer to the latter
        return too_slow()
    return _with_nul() if _has_nul(scope["path"], body) else body


def _has_nul(path: str, body: bytes) -> bool:
    """Whether a text of the body has one; a call of the ledger may, in what is kept as JSON."""
    return not path.startswith(ledger_rights.PREFIX) and NUL.search(body) is not None


def _with_nul() -> Response:
    text = "the body has a NUL (\\u0000) in a text: leave it out, no database keeps one"
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", text)


def _most(path: str) -> int:
    """Bytes that a body may have."""
    if path.startswith(ledger_rights.PREFIX):
        return ledger_rights.most(path)
    return _SUBMITTING[1] if path == _SUBMITTING[0] else MOST


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body again, then whatever comes after it."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
