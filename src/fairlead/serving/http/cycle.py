"""One request over a connection: ASGI's `receive` and `send`, over uvicorn's own cycle.

uvicorn writes the head of a response as soon as `send` brings it, and the body after it: two system
calls, two packets, and a client that wakes up twice. Here the head waits for the first piece of the
body. A body has a deadline, which costs a timer only where the body is not there yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, TypeAlias

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from fairlead.serving.http.body import Receive
from fairlead.serving.http.response import CLOSE, Refused, written

Message: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[Any], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Any, Receive, Send], Awaitable[None]]


class Cycle:
    """An ASGI app for uvicorn, for one request: it gives the real one our `receive` and `send`.

    Args:
        cycle: uvicorn's.
        app: Answers the request.
        body_seconds: That the body may take, from when it is first asked for.
    """

    __slots__ = ("_app", "_body_seconds", "_cycle", "_deadline", "_late", "_start")

    def __init__(self, cycle: RequestResponseCycle, app: ASGIApp, body_seconds: float) -> None:
        self._cycle = cycle
        self._app = app
        self._body_seconds = body_seconds
        self._deadline: asyncio.TimerHandle | None = None
        self._late = False
        self._start: Message = {}

    def __call__(self, scope: Any, _: Receive, __: Send) -> Awaitable[None]:
        """Run the app."""
        return self._app(scope, self.receive, self.send)

    async def receive(self) -> Any:
        """The next piece of the body, or that the client is gone.

        Raises:
            Refused: The body is too slow (408); only until the response has begun.
        """
        cycle = self._cycle
        if cycle.more_body and self._deadline is None and not cycle.response_started:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(self._body_seconds, self._expire)
        message = await cycle.receive()
        if self._late and not cycle.response_started:
            raise _too_slow(self._body_seconds)
        if self._deadline is not None and not message.get("more_body", False):
            self._deadline.cancel()
        return message

    async def send(self, message: Message) -> None:
        """Write this part of the response, unless the client is gone; a head waits for its body."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        cycle = self._cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        body = b"" if cycle.scope["method"] == "HEAD" else message.get("body", b"")
        content = body if cycle.response_started else self._begin(body)
        if content:
            cycle.transport.write(content)
        if not message.get("more_body", False):
            self._end()

    def _begin(self, body: bytes) -> bytes:
        """The head and this beginning of the body."""
        cycle = self._cycle
        cycle.response_started = True
        cycle.waiting_for_100_continue = False
        headers = (*cycle.default_headers, *self._start["headers"])
        if CLOSE in headers:
            cycle.keep_alive = False
        elif not cycle.keep_alive:
            headers = (*headers, CLOSE)
        return written(self._start["status"], headers, body)

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        cycle = self._cycle
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()

    def _expire(self) -> None:
        self._late = True
        self._cycle.message_event.set()


def _too_slow(seconds: float) -> Refused:
    return Refused(
        HTTPStatus.REQUEST_TIMEOUT, f"the body was not whole {seconds:g} s after its headers", CLOSE
    )
