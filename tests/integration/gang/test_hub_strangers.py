"""What is no rank keeps no rank waiting: garbage, silence, a taken port."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.gangs import HASTY, SECRET, SharedStudy, rank_process, shared_study
from tests.support.waiting import wait_until

from fairlead.errors import Invalid
from fairlead.gang import messages, wire
from fairlead.gang.hub import Hub
from fairlead.training.computation import FitOpener


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
        wire._LENGTHS.pack(2, 4),  # numbers, of no part that it computes
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
        connection.sendall(wire._LENGTHS.pack(2, 0))  # and never more of it
        trains(study, hub)


def test_an_answer_to_what_was_not_asked_is_refused(study: SharedStudy, hub: Hub) -> None:
    with connected(hub) as connection:
        proved(connection)
        say(connection, messages.Hello(rank=7, host="wrong", process=1))
        say(connection, messages.Answer(job=1, step=0, number=0))
        assert is_ended(connection)
    trains(study, hub)


def test_an_answer_of_more_than_the_part_can_need_is_refused_at_its_header(
    study: SharedStudy, hub: Hub
) -> None:
    job, work = study.fit(), FitOpener(study.artifacts)(study.fit()).next()
    assert work is not None
    with connected(hub) as connection, ThreadPoolExecutor(1) as pool:
        proved(connection)
        say(connection, messages.Hello(rank=7, host="large", process=1))
        hub.open(job)
        say(connection, messages.Opened(job=1))
        step = pool.submit(hub.compute, work)
        while not isinstance(heard(connection), messages.Compute):
            pass
        head = messages.encode(messages.Answer(job=1, step=0, number=0))
        most = 4 * work.state.nbytes + (64 << 20)
        connection.sendall(wire._LENGTHS.pack(len(head), most + 4))
        assert is_ended(connection)
        with rank_process(study, hub.address, 0):  # and its part goes to another
            assert len(step.result(60)) == work.parts


def say(connection: socket.socket, message: messages.FromRank) -> None:
    for buffer in wire.frame(messages.encode(message)):
        connection.sendall(buffer)


def heard(connection: socket.socket) -> messages.ToRank:
    head, _ = wire.receive(connection, wire.reading())
    return messages.to_rank(head)


def test_a_flood_of_connections_keeps_no_rank_out(study: SharedStudy, hub: Hub) -> None:
    host, _, port = hub.address.rpartition(":")
    over, opened = threading.Event(), [0, 0]

    def flood(number: int) -> None:
        held: deque[socket.socket] = deque()
        while not over.is_set():
            with contextlib.suppress(OSError):
                held.append(socket.create_connection((host, int(port)), timeout=1.0))
                opened[number] += 1
            if len(held) > 150:
                held.popleft().close()
        for one in held:
            one.close()

    flooding = [threading.Thread(target=flood, args=(number,)) for number in range(2)]
    for one in flooding:
        one.start()
    try:
        wait_until(lambda: sum(opened) > 600)
        trains(study, hub)
    finally:
        over.set()
        for one in flooding:
            one.join()


def test_a_rank_that_is_cut_off_at_its_proof_calls_again(study: SharedStudy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with rank_process(study, f"127.0.0.1:{port}", 0):
            for _ in range(2):
                called, _ = taken.accept()
                with called:
                    called.sendall(wire.challenge())
                    wire.fill(called, memoryview(bytearray(wire.RESPONSE)))
            taken.close()
            with Hub(secret=SECRET, port=port) as hub:
                wait_until(lambda: hub.alive() == 1)


def test_a_port_that_is_taken_is_said_in_a_line(hub: Hub) -> None:
    port = int(hub.address.rpartition(":")[2])
    with pytest.raises(Invalid, match=rf"cannot listen on 127\.0\.0\.1:{port}.*another"):
        Hub(secret=SECRET, port=port)


def test_a_rank_may_call_before_the_driver_listens(study: SharedStudy, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with rank_process(study, f"127.0.0.1:{port}", 0), Hub(secret=SECRET, port=port) as hub:
        wait_until(lambda: hub.alive() == 1)
