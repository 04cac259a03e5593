"""Connections of the control API: deadlines and a bound that keep no honest client out.

uvicorn waits for a connection's first request for ever. Here the head of a request has a time and a
size, and a client that takes nothing of its answer has a time. Where there are as many connections
as there may be, the one that has been without a request for longest makes room for the new one.
(Overrides methods that uvicorn calls, which is pinned: see serving/http/connection.py.)
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from fairlead.serving.http.connection import ConnectionLimit, room

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n"
    b"connection: close\r\n\r\n"
)


@dataclass(frozen=True, kw_only=True)
class ConnectionBounds:
    """What connections may take.

    Args:
        most: Connections at once; as many files as the system allows, where that is less.
        head: Bytes of a request's line and headers.
        head_seconds: From the connection's beginning, or a request's, until its head is there.
        answer_seconds: That a client may take nothing of what it is sent.
    """

    most: int = 1024
    head: int = 64 * 1024
    head_seconds: float = 15.0
    answer_seconds: float = 60.0


class ControlConfig(Config):
    """How uvicorn is to serve the control API, and what its connections share."""

    def __init__(self, app: Any, bounds: ConnectionBounds, *, grace: int) -> None:
        super().__init__(
            app,
            http=ControlConnection,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=grace,
        )
        self.bounds = bounds
        self.connection_limit: ConnectionLimit[ControlConnection] = ConnectionLimit(
            room(bounds.most)
        )


class ControlConnection(HttpToolsProtocol):
    """One connection: it waits for a request's head, or has requests in hand."""

    def __init__(
        self,
        config: ControlConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._bounds = config.bounds
        self._limit = config.connection_limit
        self._deadline: asyncio.TimerHandle | None = None  # for a head to be whole
        self._unsent: asyncio.TimerHandle | None = None  # for an answer to be taken
        self._unparsed = 0  # bytes since the last whole head
        self._in_hand = 0  # requests without a complete answer

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, if there is room."""
        super().connection_made(transport)
        if self._limit.enter(self):
            self._await_head()
        else:
            transport.write(_FULL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._limit.leave(self)
        self._head_is_whole()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Parse what came, and wait for the rest of a head, if it is one."""
        self._unparsed += len(data)
        super().data_received(data)
        if self._in_hand or self.transport.is_closing():
            return
        if self._unparsed > self._bounds.head:
            self.abort()
        elif self._deadline is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """A request is in hand from now on."""
        super().on_headers_complete()
        self._unparsed = 0
        self._in_hand += 1
        self._limit.busy(self)
        self._head_is_whole()

    def on_response_complete(self) -> None:
        """It is answered."""
        super().on_response_complete()
        self._in_hand -= 1
        if not self._in_hand and not self.transport.is_closing():
            self._limit.idle(self)

    def pause_writing(self) -> None:
        """The client takes less than it is sent: it must go on within the time."""
        self.flow.pause_writing()
        if self._unsent is None:
            self._unsent = self.loop.call_later(self._bounds.answer_seconds, self.abort)

    def resume_writing(self) -> None:
        """It does."""
        self.flow.resume_writing()
        if self._unsent is not None:
            self._unsent.cancel()
            self._unsent = None

    def abort(self) -> None:
        """Close at once: another needs the place, or nothing is to be expected of the client."""
        self.transport.abort()

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(self._bounds.head_seconds, self.abort)

    def _head_is_whole(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
