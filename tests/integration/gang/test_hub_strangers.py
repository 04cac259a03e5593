"""What is no rank keeps no rank waiting: garbage, silence, a taken port."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.support.gangs import HASTY, SECRET, SharedStudy, rank_process, shared_study
from tests.support.waiting import wait_until

from fairlead.errors import Invalid
from fairlead.gang import messages, wire
from fairlead.gang.hub import Hub


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SharedStudy:
    return shared_study(tmp_path_factory.mktemp("study"))


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(secret=SECRET, patience=HASTY) as hub:
        yield hub


@contextlib.contextmanager
def connected(hub: Hub) -> Iterator[socket.socket]:
    host, _, port = hub.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=60.0) as connection:
        yield connection


def proved(connection: socket.socket) -> None:
    """Prove to know the secret, as a rank does."""
    challenge = bytearray(wire.CHALLENGE)
    wire.fill(connection, memoryview(challenge))
    connection.sendall(wire.response(SECRET, bytes(challenge)))
    wire.fill(connection, memoryview(bytearray(wire.PROOF)))


def is_ended(connection: socket.socket) -> bool:
    """Read to the end of a connection; whether there was one."""
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(1 << 16):
            pass
    return True


def trains(study: SharedStudy, hub: Hub) -> None:
    """A fit with one rank has the bits of one process."""
    with rank_process(study, hub.address, 0):
        hub.open(study.fit())
        assert study.train(study.fit(), hub) == study.train(study.fit(), None)


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n" * 9, os.urandom(4096), bytes(200)])
def test_garbage_on_the_port_is_cut_off(study: SharedStudy, hub: Hub, said: bytes) -> None:
    with connected(hub) as connection:
        connection.sendall(said)
        assert is_ended(connection)
    trains(study, hub)


@pytest.mark.parametrize(
    "said",
    [
        wire._LENGTHS.pack(wire.MOST_HEAD + 1, 0),
        wire._LENGTHS.pack(2, wire.MOST_BODY + 4),
        b"".join(wire.frame(b"[]")),
        b"".join(wire.frame(b'{"type": "Answer", "job": 1, "step": 0, "number": 0}')),
        b"".join(wire.frame(b"\x80\x04pickle")),
    ],
)
def test_a_rank_that_says_what_no_rank_says_is_cut_off(
    study: SharedStudy, hub: Hub, said: bytes
) -> None:
    with connected(hub) as connection:
        proved(connection)
        connection.sendall(said)
        assert is_ended(connection)
    trains(study, hub)


def test_connections_that_say_nothing_keep_nobody_waiting_and_are_ended(
    study: SharedStudy, hub: Hub
) -> None:
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connected(hub)) for _ in range(30)]
        trains(study, hub)
        assert all(map(is_ended, silent))


def test_an_answer_that_arrives_a_byte_at_a_time_keeps_nobody_waiting(
    study: SharedStudy, hub: Hub
) -> None:
    with connected(hub) as connection:
        proved(connection)
        hello = messages.Hello(rank=7, host="slow", process=1)
        for byte in b"".join(wire.frame(messages.encode(hello))):
            connection.sendall(bytes([byte]))
        wait_until(lambda: hub.alive() == 1)
        connection.sendall(wire._LENGTHS.pack(2, 1 << 30))  # and never more of it
        trains(study, hub)


def test_an_answer_to_what_was_not_asked_is_refused(study: SharedStudy, hub: Hub) -> None:
    with connected(hub) as connection:
        proved(connection)
        answer = messages.Answer(job=1, step=0, number=0)
        hello = messages.Hello(rank=7, host="wrong", process=1)
        for message, body in ((hello, None), (answer, np.zeros(3, np.float32))):
            for buffer in wire.frame(messages.encode(message), body):
                connection.sendall(buffer)
        assert is_ended(connection)
    trains(study, hub)


def test_a_port_that_is_taken_is_said_in_a_line(hub: Hub) -> None:
    port = int(hub.address.rpartition(":")[2])
    with pytest.raises(Invalid, match=rf"cannot listen on 127\.0\.0\.1:{port}.*another"):
        Hub(secret=SECRET, port=port)


def test_a_rank_may_call_before_the_driver_listens(study: SharedStudy, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with rank_process(study, f"127.0.0.1:{port}", 0), Hub(secret=SECRET, port=port) as hub:
        wait_until(lambda: hub.alive() == 1)
