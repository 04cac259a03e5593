"""A proxy between an HTTP client and its server that does to requests what networks do.

It passes requests and answers on as they are, `Host` included, since signatures cover it. A fault
holds for the next requests of a method, so many of them; `met` says how many have met theirs.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Slow down</Message></Error>"
_HOP = {"connection", "keep-alive", "transfer-encoding", "expect"}
_PLACES = 10**9  # as good as for ever


class Cut(Exception):
    """The connection is to be cut."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the server answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


Fault = Callable[["Handler"], None]
"""Answers a request in the proxy's way, or raises Cut."""


def refused(handler: Handler) -> None:
    """503 SlowDown; the server hears nothing of it."""
    handler.answer(
        Answer(status=503, headers=[("Content-Type", "application/xml")], body=SLOW_DOWN)
    )


def answer_lost(handler: Handler) -> None:
    """The server does the work, and nobody hears of it."""
    handler.forwarded()
    raise Cut


def cut_in_the_middle(handler: Handler) -> None:
    """Half of the answer's body comes."""
    answer = handler.forwarded()
    handler.head(answer)
    handler.wfile.write(answer.body[: len(answer.body) // 2])
    raise Cut


def cut_at_once(handler: Handler) -> None:
    """The connection is closed before the server hears of the request."""
    raise Cut


def damaged(handler: Handler) -> None:
    """One byte of the answer's body is another."""
    answer = handler.forwarded()
    body = bytes([answer.body[0] ^ 1]) + answer.body[1:]
    handler.answer(Answer(status=answer.status, headers=answer.headers, body=body))


class Delay:
    """The answer comes late, or when the test ends."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __call__(self, handler: Handler) -> None:
        handler.proxy.closing.wait(self._seconds)
        handler.answer(handler.forwarded())


@dataclass
class Planned:
    """A fault and the requests that meet it."""

    fault: Fault
    method: str
    left: int
    met: int = 0
    reached: threading.Event = field(default_factory=threading.Event)


class FaultyProxy:
    """The proxy, on a port of its own.

    Args:
        server: URL of what is behind it.
        port: Of its own; a free one unless given.
    """

    def __init__(self, server: str, *, port: int = 0) -> None:
        self.server = urlsplit(server)
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._planned: list[Planned] = []
        handler = type("Bound", (Handler,), {"proxy": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def plan(self, fault: Fault, *, method: str, times: int = _PLACES) -> Planned:
        """Have the next requests of this method meet a fault."""
        planned = Planned(fault=fault, method=method, left=times)
        with self._lock:
            self._planned.append(planned)
        return planned

    def lift(self, planned: Planned) -> None:
        """No further request meets this fault."""
        with self._lock:
            planned.left = 0

    def fault_for(self, method: str) -> Fault | None:
        with self._lock:
            for planned in self._planned:
                if planned.left > 0 and planned.method in {method, "*"}:
                    planned.left -= 1
                    planned.met += 1
                    planned.reached.set()
                    return planned.fault
        return None

    @contextlib.contextmanager
    def running(self) -> Iterator[FaultyProxy]:
        """While this is open, it answers."""
        thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            self.closing.set()
            self._http.shutdown()
            thread.join()
            self._http.server_close()


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    proxy: FaultyProxy

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        try:
            if fault := self.proxy.fault_for(self.command):
                fault(self)
            else:
                self.answer(self.forwarded())
        except (Cut, OSError):
            self.close_connection = True

    do_GET = do_PUT = do_HEAD = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815 - http.server's names

    def forwarded(self) -> Answer:
        """What the server answers to this request."""
        server = self.proxy.server
        connection = http.client.HTTPConnection(str(server.hostname), server.port, timeout=60)
        try:
            connection.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in self.headers.items():
                if name.lower() not in _HOP:
                    connection.putheader(name, value)
            connection.endheaders(self.body or None)
            response = connection.getresponse()
            return Answer(
                status=response.status, headers=response.getheaders(), body=response.read()
            )
        finally:
            connection.close()

    def answer(self, answer: Answer) -> None:
        """Send the whole answer."""
        self.head(answer)
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def head(self, answer: Answer) -> None:
        """Send the answer's line and headers."""
        self.send_response_only(answer.status)
        said = {name.lower() for name, _ in answer.headers}
        for name, value in answer.headers:
            if name.lower() not in _HOP:
                self.send_header(name, value)
        if "content-length" not in said:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Nothing is logged."""
