"""Connections, with the limits and deadlines that uvicorn lacks, and the server that drains them.

uvicorn parses with llhttp and speaks ASGI; it has no limit on headers, no deadline but the one
between two requests, and answers malformed bytes behind a request before the request itself.
`Connection` adds these by overriding the methods that asyncio, the parser and uvicorn itself call.
They are not a published interface, so uvicorn is pinned, and a unit test holds that they are there.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import math
import re
import resource
import socket
import struct
import sys
import termios
from collections.abc import Callable, Generator, Sequence
from http import HTTPStatus
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import httptools
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from fairlead.serving.http.cycle import ASGIApp, Cycle
from fairlead.serving.http.graceful_close import drop_new_connections, has_waiting
from fairlead.serving.http.response import (
    CLOSE,
    Answer,
    Refused,
    headers_of,
    of_error,
    refusal,
    written,
)
from fairlead.serving.settings import Limits


class Closable(Protocol):
    """A connection, as far as `ConnectionLimit` knows it."""

    def abort(self) -> None:
        """Close at once: another connection needs the place."""


C = TypeVar("C", bound=Closable)


class ConnectionLimit(Generic[C]):
    """Bounds connections. An idle one makes room for a new one, the longest idle first.

    So clients that connect and send nothing keep no other out, however many they are.

    Args:
        most: Connections at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._busy: set[C] = set()
        self._idle: dict[C, None] = {}  # in the order in which they became idle

    def __len__(self) -> int:
        return len(self._busy) + len(self._idle)

    def enter(self, connection: C) -> bool:
        """Take a new connection in; False if all that there is room for are being answered."""
        if len(self) >= self._most:
            if not self._idle:
                return False
            oldest = next(iter(self._idle))
            del self._idle[oldest]
            oldest.abort()
        self._idle[connection] = None
        return True

    def busy(self, connection: C) -> None:
        """It has a request in hand."""
        self._idle.pop(connection, None)
        self._busy.add(connection)

    def idle(self, connection: C) -> None:
        """It has none any more."""
        self._busy.discard(connection)
        self._idle[connection] = None

    def leave(self, connection: C) -> None:
        """It is closed."""
        self._busy.discard(connection)
        self._idle.pop(connection, None)


Header: TypeAlias = tuple[bytes, bytes]

FILES = 128  # open files that are no connections
_READ = 1 << 18  # the most that the loop reads at once
_EACH = 4  # bytes of a header beside its name and value
_FRAMES = {b"content-length", b"transfer-encoding"}  # headers that say where a body ends
_ARRIVING = 0.2  # seconds that a client has to answer the system's answer to its first packet
_ACCEPTING = 1.0  # seconds past that to accept all who wait
_AT_ONCE = struct.pack("ii", 1, 0)  # on, and 0 seconds
_VERSIONS = {"1.0", "1.1"}
_METHODS = frozenset(b"GET HEAD POST PUT PATCH DELETE OPTIONS TRACE QUERY".split())  # of resources
_FIRST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [^ \r\n]+ HTTP/([0-9])\.[0-9]\r?\n")
_ABSOLUTE = re.compile(rb"[a-z][a-z0-9+.-]*://([^/?#]*)", re.IGNORECASE)  # a target with a host
_FULL = refusal(
    HTTPStatus.SERVICE_UNAVAILABLE, "all connections are in use", (b"retry-after", b"1")
)


class HttpConfig(Config):
    """How uvicorn is to serve here, and what all its connections share.

    Its `app`, which answers whole requests, is set before it serves.

    Args:
        limits: Of this process.
        refused: Called with the status of each response that the app has no part in.
    """

    def __init__(self, *, limits: Limits, refused: Callable[[int], None]) -> None:
        super().__init__(
            "",
            http=Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="critical",  # the app logs, in one form
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        self.timeout_keep_alive = limits.idle_seconds  # type: ignore[assignment] # call_later's
        self.limits = limits
        self.draining = False  # every request is the last one of its connection
        self.refused = refused
        self.connection_limit: ConnectionLimit[Connection] = ConnectionLimit(
            room(limits.connections)
        )


class HttpServer(Server):
    """uvicorn's server, ended by `end` alone: signals are handled in serving/process.py."""

    def end(self, seconds: float) -> None:
        """Stop listening, and answer the requests in hand.

        Args:
            seconds: That this may take.
        """
        self.config.timeout_graceful_shutdown = math.ceil(seconds)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer open connections, accept those that are being made, then stop listening.

        Args:
            sockets: That it listens on.
        """
        self._close_connections()
        for one in sockets or ():
            drop_new_connections(one)
        await asyncio.sleep(_ARRIVING)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ACCEPTING):
                while has_waiting(sockets or ()):  # noqa: ASYNC110 - there is no event of its end
                    await asyncio.sleep(0.01)
        await super().shutdown(sockets)

    def _close_connections(self) -> None:
        assert isinstance(self.config, HttpConfig)
        self.config.draining = True
        for connection in list(self.server_state.connections):
            connection.shutdown()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals alone; uvicorn would raise them again, for a status that is not 0."""
        yield


class Connection(HttpToolsProtocol):
    """One connection.

    It is idle (waits for a request's head) or busy (a request is in hand). An idle one has a
    deadline for the head; a busy one has a deadline for the body (`Cycle`), and one for the client
    to take the response (`pause_writing`).
    """

    def __init__(
        self,
        config: HttpConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._config = config
        self._limits = config.limits
        self._limit = config.connection_limit
        self._refused = config.refused
        self._deadline: asyncio.TimerHandle | None = None  # for a head to be complete
        self._unsent: asyncio.TimerHandle | None = None  # for a response to be taken
        self._head_open = False  # a head has begun and is not complete
        self._head_size = 0
        self._method: bytes | None = None  # of the newest request, once it is known
        self._unparsed = 0  # bytes since the last complete head or piece of a body
        self._in_hand = 0  # requests without a complete response
        self._last: Answer | None = None  # sent before closing, after the responses in hand
        self._ignoring = False  # what comes is not parsed any more
        self._closing = False  # the request in hand is the last one
        self._full = False  # there was no room for this connection

    # ---- asyncio's side

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, if there is room."""
        super().connection_made(transport)
        if self._limit.enter(self):
            self._await_head()
            self._closing = self._config.draining
        else:
            self._ignoring = self._full = True
            self._last = _FULL
            self._send_last()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._limit.leave(self)
        for timer in (self._deadline, self._unsent):
            if timer is not None:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._ignoring:
            self._ignore()
            return
        self._unset_keepalive_if_required()
        self._unparsed += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            self._refuse(_refusal_of(error, data))
        else:
            self._check_progress()

    def eof_received(self) -> bool:  # type: ignore[override] # asyncio asks for the answer
        """The client sends no more; it may still wait for what it asked for."""
        if not self._in_hand or self.cycle.more_body:
            return False
        self._close_after_this()
        return True

    def pause_writing(self) -> None:
        """The client takes less than it is sent: it must go on within the time."""
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        """It does."""
        super().resume_writing()
        if self._unsent is not None and not self.transport.is_closing():
            self._unsent.cancel()
            self._unsent = None

    # ---- the parser's side

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._head_open = True
        self._head_size = 0
        self._method = None

    def on_url(self, url: bytes) -> None:
        """A piece of the request's line."""
        self._method = self.parser.get_method()
        self._head_size += len(url)
        if self._head_size > self._limits.head:
            raise _target_too_long(self._limits.head)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; those behind a chunked body are dropped: no proxy has looked at them."""
        self._count(len(name) + len(value) + _EACH)
        if self._head_open:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A request's head is whole: it is in hand from now on."""
        self._head_open = False
        self._unparsed = 0
        method, version = self.parser.get_method(), self.parser.get_http_version()
        _check_head(method, version, self.headers)
        if not self.url.startswith(b"/"):
            self.headers[:] = _headed(self.url, self.headers)
            self.url = _path_of_all(method, self.url)
        self.expect_100_continue &= version != "1.0"  # RFC 9110, 10.1.1
        super().on_headers_complete()
        self._in_hand += 1
        self._become_busy()
        if self._closing:
            self._close_after_this()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole, unless the parser only left its body aside for an upgrade."""
        self._unparsed = 0
        if not self.parser.should_upgrade():
            super().on_message_complete()

    # ---- uvicorn's side

    def on_response_complete(self) -> None:
        """A response is written; send what is sent last if it was the last."""
        super().on_response_complete()
        self._in_hand -= 1
        if self.transport.is_closing():
            self._expect_reading()
        elif not self._in_hand:
            self._limit.idle(self)
            if self._last is not None:
                self._send_last()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:
        """Run the app with our own `receive` and `send`."""
        super()._start_asgi_task(cycle, Cycle(cycle, app, self._limits.body_seconds))

    def shutdown(self) -> None:
        """Drain: the request in hand, or else the next one, is answered and is the last.

        A client that was idle for a moment may have sent its next request already.
        """
        self._close_after_this()
        if not self._in_hand:
            self.loop.call_later(self._limits.parting_seconds, self._close_if_idle)

    def timeout_keep_alive_handler(self) -> None:
        """No request came for so long."""
        self.transport.close()
        self._expect_reading()

    def abort(self) -> None:
        """Close at once: another connection needs the place, or the client reads nothing.

        A reset, or the system would go on trying to deliver it.
        """
        mine = self.transport.get_extra_info("socket")
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.transport.abort()

    # ---- parsing

    def _parse(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:  # each request of those that came together may ask for another protocol
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
                self._decline()
            else:
                return

    def _decline(self) -> None:
        """Go on as if the client had not asked for another protocol, which it must accept.

        Java's HTTP client asks so with its first request. The parser, which takes the bytes behind
        the head for the other protocol, is replaced by one that is only told how long the body is.
        """
        self.parser = httptools.HttpRequestParser(_Continued(self))
        self.parser.feed_data(_framing(self.headers))

    def _check_progress(self) -> None:
        """After a piece was parsed: wait for the rest of a head, if it is one."""
        if self._unparsed > self._limits.head + _READ:
            self._refuse(_head_too_large(self._limits.head))
        elif not self._in_hand and self._deadline is None:
            self._await_head()

    def _count(self, size: int) -> None:
        self._head_size += size
        if self._head_size > self._limits.head:
            raise _head_too_large(self._limits.head)

    # ---- deadlines of the head

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(self._limits.head_seconds, self._head_timed_out)

    def _become_busy(self) -> None:
        self._limit.busy(self)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _head_timed_out(self) -> None:
        if self._head_open:
            seconds = self._limits.head_seconds
            self._refuse(
                Refused(HTTPStatus.REQUEST_TIMEOUT, f"the headers were not whole in {seconds:g} s")
            )
        else:
            self.transport.close()

    # ---- the end

    def _close_if_idle(self) -> None:
        if not (self._in_hand or self._head_open):
            self.transport.close()

    def _close_after_this(self) -> None:
        self._closing = True
        if self._in_hand:
            self.cycle.keep_alive = False

    def _refuse(self, error: Exception) -> None:
        """Answer what is not a request, after the requests before it, and close."""
        self._ignoring = True
        self._last = of_error(error)
        if self._in_hand and self.cycle.more_body:
            self._drop_newest()
        if not self._in_hand:
            self._send_last()

    def _drop_newest(self) -> None:
        """The request whose body cannot be parsed gets this response and no other."""
        self._in_hand -= 1
        if self.pipeline:
            self.pipeline.popleft()
            return
        if self.cycle.response_started:
            self._last = None
        self.cycle.disconnected = True
        self.cycle.message_event.set()

    def _ignore(self) -> None:
        """Discard what comes after the last response; without room, do not wait for more."""
        if self._full:
            self.transport.close()

    def _send_last(self) -> None:
        """Write it and close; bytes are still read, or the client might never see it."""
        if self._last is not None:
            self._refused(self._last.status)
            last = self._last
            headers = (*self.server_state.default_headers, *headers_of(last), CLOSE)
            body = b"" if self._method == b"HEAD" else last.body
            self.transport.write(written(last.status, headers, body))
        self._unset_keepalive_if_required()
        self.transport.write_eof()
        self.loop.call_later(self._limits.linger_seconds, self.transport.abort)

    def _expect_reading(self) -> None:
        if self._unsent is None:
            self._await_reading(self._unread())

    def _await_reading(self, left: int) -> None:
        seconds = self._limits.answer_seconds
        self._unsent = self.loop.call_later(seconds, self._abort_unless_reading, left)

    def _abort_unless_reading(self, before: int) -> None:
        """A slow client may go on being slow; one that read nothing is cut off."""
        left = self._unread()
        if left < before:
            self._await_reading(left)
        else:
            self.abort()

    def _unread(self) -> int:
        """Bytes of responses that the client has not read: ours, and those the system holds.

        The system asks for more only once much of what it holds is gone.
        """
        mine = self.transport.get_extra_info("socket")
        held = bytes(4)
        with contextlib.suppress(OSError):  # not every system tells
            held = fcntl.ioctl(mine.fileno(), termios.TIOCOUTQ, held)
        return self.transport.get_write_buffer_size() + int.from_bytes(held, sys.byteorder)


class _Continued:
    """The callbacks of a second parser: the connection's, but for the first head, which it has."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._has_head = False
        self.on_body = connection.on_body
        self.on_message_complete = connection.on_message_complete

    def on_message_begin(self) -> None:
        if self._has_head:
            self._connection.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self._has_head:
            self._connection.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._has_head:
            self._connection.on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._has_head:
            self._connection.on_headers_complete()
        self._has_head = True


def room(connections: int) -> int:
    """So many connections, or as many files as the system allows this process."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return connections if soft == resource.RLIM_INFINITY else min(connections, soft - FILES)


def _framing(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A head that says of its body what these headers say, and no more."""
    kept = [name + b": " + value for name, value in headers if name in _FRAMES]
    return b"\r\n".join([b"POST / HTTP/1.1", *kept, b"", b""])


def _check_head(method: bytes, version: str, headers: Sequence[Header]) -> None:
    """What the parser lets pass, and we do not take or others may understand differently.

    Raises:
        Refused: The head is one of these.
    """
    if version not in _VERSIONS:
        raise _wrong_version(version)
    if method not in _METHODS:
        raise _not_implemented(method)
    hosts, codings = 0, []
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding":
            codings += value.lower().split(b",")
        elif name == b"expect" and version != "1.0" and value.lower() != b"100-continue":
            raise _cannot_expect(value)
    if codings:
        _check_codings([coding.strip() for coding in codings], version)
    if hosts > 1 or (not hosts and version == "1.1"):
        raise _bad(f"a request has one Host header, not {hosts}")


def _check_codings(codings: Sequence[bytes], version: str) -> None:
    """See that a body's transfer codings are chunked alone.

    Raises:
        Refused: They are not. Where the last one is not chunked, nobody can tell where the body
            ends (RFC 9112, 6.3); else another one is not known here (RFC 9112, 6.1).
    """
    if version == "1.0":
        raise _bad("Transfer-Encoding is not of HTTP/1.0 (RFC 9112, 6.1); send Content-Length")
    if codings == [b"chunked"]:
        return
    status = HTTPStatus.BAD_REQUEST
    if codings[-1] == b"chunked" and codings.count(b"chunked") == 1:
        status = HTTPStatus.NOT_IMPLEMENTED
    shown = b", ".join(codings).decode("latin-1")
    raise Refused(status, f"Transfer-Encoding {shown!r} is not known; send chunked")


def _path_of_all(method: bytes, url: bytes) -> bytes:
    """The path of `OPTIONS *`, which asks about the server as a whole (RFC 9110, 9.3.7)."""
    return b"/" if method == b"OPTIONS" and url == b"*" else url


def _headed(url: bytes, headers: list[Header]) -> list[Header]:
    """The headers, with the host that the target names, if it does (RFC 9112, 3.2.2)."""
    absolute = _ABSOLUTE.match(url)
    if absolute is None:
        return headers
    return [*(one for one in headers if one[0] != b"host"), (b"host", absolute[1])]


def _refusal_of(error: Exception, data: bytes) -> Refused:
    """The response to a fault that the parser found, or one of its callbacks.

    Args:
        error: The fault.
        data: What was parsed.
    """
    cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
    if isinstance(cause, Refused):
        return cause
    first = _FIRST_LINE.match(data)
    if first and first[1] != b"1":
        return _wrong_version(first[0].rsplit(b"/")[-1].strip().decode())
    method = data.partition(b" ")[0]
    if first and method not in _METHODS:  # else what is wrong stands further behind
        return _not_implemented(method)
    if isinstance(cause, httptools.HttpParserError):
        return _bad(f"not an HTTP request: {cause}")
    return _bad("not an HTTP request: its target is not a path")


def _bad(message: str) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, message)


def _wrong_version(version: str) -> Refused:
    """HTTP/0.9 is what the parser calls a line without a version: that is none of a request."""
    known = version.startswith(("0", "1"))
    status = HTTPStatus.BAD_REQUEST if known else HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
    return Refused(status, f"HTTP/{version} is not supported; send HTTP/1.1")


def _not_implemented(method: bytes) -> Refused:
    shown = method[:40].decode("latin-1")
    return Refused(
        HTTPStatus.NOT_IMPLEMENTED,
        f"the method {shown!r} is not implemented; ask with GET, HEAD, POST or OPTIONS",
    )


def _cannot_expect(value: bytes) -> Refused:
    shown = value[:80].decode("latin-1")
    return Refused(
        HTTPStatus.EXPECTATION_FAILED, f"Expect {shown!r} cannot be met; send 100-continue or none"
    )


def _target_too_long(most: int) -> Refused:
    return Refused(
        HTTPStatus.REQUEST_URI_TOO_LONG, f"the request's target is longer than {most} bytes"
    )


def _head_too_large(most: int) -> Refused:
    return Refused(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        f"the request's line and headers are larger than {most} bytes",
    )
