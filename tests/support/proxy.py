"""A TCP proxy that does to a connection what networks do: it delays, cuts and loses.

Bytes from the client are looked at before they go on, so that a connection can be cut before a
request arrives, or after the server has had it and before the client hears the answer.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Literal, TypeAlias

Cut: TypeAlias = Literal["before", "after", "unheard"]
"""What is lost: what the server was to get, or the server's answer to it; unheard, the server does
not even hear that its client has gone.
"""


class Proxy:
    """Listens on a free port of the loopback and passes on to a server.

    Args:
        port: Of the server, on the loopback.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0
        self.delay = 0.0
        self._is_to_cut: Callable[[bytes], Cut | None] = lambda _: None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._down = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, content: bytes, when: Cut, *, times: int = 1) -> None:
        """Cut so many of the connections whose client sends this."""
        left = times

        def decide(sent: bytes) -> Cut | None:
            nonlocal left
            with self._lock:
                if left == 0 or content not in sent:
                    return None
                left -= 1
                self.cuts += 1
            return when

        self._is_to_cut = decide

    def go_down(self) -> None:
        """Cut every connection, and let none in."""
        self._down = True
        with self._lock:
            for one in self._open:
                _shut(one)

    def come_back(self) -> None:
        self._down = False

    def close(self) -> None:
        self.go_down()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                if self._down:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                if self._listener.fileno() < 0:
                    return
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            cut = threading.Event()
            for work in (self._requests, self._answers):
                threading.Thread(target=work, args=(client, server, cut), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        while sent := _received(client):
            when = self._is_to_cut(sent)
            if when == "after":
                cut.set()  # the answer is read, and goes nowhere
            if when == "unheard":
                self._end(client)
                return
            if when == "before" or not _sent(server, sent):
                break
        self._end(client, server)

    def _answers(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        while answer := _received(server):
            if self.delay:
                threading.Event().wait(self.delay)
            if cut.is_set() or not _sent(client, answer):
                break
        self._end(client, server)

    def _end(self, *ends: socket.socket) -> None:
        with self._lock:
            for one in ends:
                _shut(one)
                one.close()
            self._open -= set(ends)


def _received(end: socket.socket) -> bytes:
    try:
        return end.recv(1 << 16)
    except OSError:
        return b""


def _sent(end: socket.socket, content: bytes) -> bool:
    try:
        end.sendall(content)
    except OSError:
        return False
    return True


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is shut already
