"""Clients that connect to the control API and ask for nothing keep no other out."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from tests.support.waiting import wait_until

from fairlead.api.connection import ConnectionBounds, ControlConfig
from fairlead.api.process import ControlUvicorn
from fairlead.server.listening import bind

LARGE = 64 << 20


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a lot where that is asked for."""
    if scope["type"] == "http":
        size = LARGE if scope["path"] == "/large" else 4
        await PlainTextResponse("x" * size)(scope, receive, send)


@contextmanager
def serving(bounds: ConnectionBounds) -> Iterator[tuple[str, int]]:
    with bind("127.0.0.1", 0, tokens=False) as address:
        config = ControlConfig(app, bounds, grace=1)
        config.lifespan = "off"
        server = ControlUvicorn(config)
        listener = address.listen()
        where = listener.getsockname()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield where
        finally:
            server.should_exit = True
            thread.join()


def asked(where: tuple[str, int]) -> int:
    connection = HTTPConnection(*where, timeout=30)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def is_closed(client: socket.socket) -> bool:
    client.settimeout(30)
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_connections_without_a_request_make_room_for_others() -> None:
    bounds = ConnectionBounds(most=4, head_seconds=600.0)
    with serving(bounds) as where, ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(where)) for _ in range(12)]
        assert [asked(where) for _ in range(3)] == [200, 200, 200]
        assert all(is_closed(client) for client in idle[:8])


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\nHost: loc", b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /"]
)
def test_a_head_that_does_not_come_is_not_waited_for(sent: bytes) -> None:
    with serving(ConnectionBounds(head_seconds=0.5)) as where, ExitStack() as stack:
        client = stack.enter_context(socket.create_connection(where, timeout=30))
        client.sendall(sent)
        if b"\r\n\r\n" in sent:
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")
            client.sendall(b"more")
        while client.recv(1 << 16):
            """What comes before the end."""
        assert asked(where) == 200


def test_a_head_has_a_size() -> None:
    with serving(ConnectionBounds()) as where, ExitStack() as stack:
        client = stack.enter_context(socket.create_connection(where, timeout=30))
        client.sendall(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000)
        assert is_closed(client)


def test_who_takes_nothing_of_an_answer_is_not_waited_for() -> None:
    with serving(ConnectionBounds(answer_seconds=0.5)) as where, ExitStack() as stack:
        client = stack.enter_context(socket.create_connection(where, timeout=30))
        client.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        got = 0
        wait_until(lambda: connections(where) == 0)
        try:
            while piece := client.recv(1 << 20):
                got += len(piece)
        except ConnectionResetError:
            pass
        assert got < LARGE


def connections(where: tuple[str, int]) -> int:
    """Established ones to this port, as the system has them on the server's side."""
    port = f":{where[1]:04X}"
    table = Path("/proc/net/tcp").read_text(encoding="ascii")
    rows = [line.split() for line in table.splitlines()[1:]]
    return sum(1 for row in rows if row[1].endswith(port) and row[3] == "01")
