"""Frames, and the proof of a gang's secret."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.errors import Forbidden
from fairlead.gang import messages, wire
from fairlead.gang.work import FitJob
from fairlead.records import Trial

FIT = FitJob(
    study="ab",
    spec="{}",
    table="7" * 64,
    sources={"./a.py:A": "8" * 64},
    trial=Trial(number=3, family="./a.py:A", params={"a": 1, "b": 1.0, "c": "x", "d": None}),
    fold=None,
)


def content(head: bytes, body: Any = None) -> bytes:
    return b"".join(bytes(buffer) for buffer in wire.frame(head, body))


def read(sent: bytes, pieces: list[int]) -> list[tuple[bytes, bytes]]:
    """The frames that a driver takes of bytes that arrive in pieces of these sizes."""
    frames = []

    def protocol() -> wire.Filling[None]:
        while True:
            head, body = yield from wire.reading()
            frames.append((bytes(head), bytes(body)))

    incoming = wire.Incoming(protocol())
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0.0)
        for size in [*pieces, len(sent)]:
            theirs.sendall(sent[:size])
            sent = sent[size:]
            with contextlib.suppress(BlockingIOError):
                while incoming.receive(ours):
                    pass
    return frames


@given(st.lists(st.integers(0, 40), max_size=20), st.lists(st.integers(0, 9), max_size=4))
def test_frames_are_whole_in_whatever_pieces_they_arrive(
    pieces: list[int], lengths: list[int]
) -> None:
    vectors = [np.arange(length, dtype=np.float32) for length in lengths]
    sent = b"".join(content(b"{}", vector) for vector in vectors)
    assert read(sent, pieces) == [(b"{}", vector.tobytes()) for vector in vectors]


def test_numbers_keep_their_bits() -> None:
    odd = np.array([np.nan, np.inf, -0.0, 1e-45, 3.4e38], np.float32)
    [(_, body)] = read(content(b"{}", odd), [])
    assert wire.vector_of(bytearray(body)).tobytes() == odd.tobytes()


@pytest.mark.parametrize(
    "lengths", [(0, 0), (wire.MOST_HEAD + 1, 0), (2, wire.MOST_BODY + 4), (2, 3)]
)
def test_lengths_of_no_frame_are_refused_before_anything_is_read(lengths: Any) -> None:
    filling = wire.reading()
    wanted = next(filling)
    wanted[:] = wire._LENGTHS.pack(*lengths)
    with pytest.raises(wire.Malformed):
        next(filling)


def test_memory_grows_with_what_arrives_and_not_with_what_is_announced() -> None:
    filling = wire.reading()
    next(filling)[:] = wire._LENGTHS.pack(2, wire.MOST_BODY)
    next(filling)[:] = b"{}"
    held, arrived = next(filling), 0
    for _ in range(6):
        arrived += len(held)
        assert arrived <= 32 * wire._PIECE
        held = next(filling)
        assert len(held) <= arrived


def test_numbers_of_several_pieces_arrive_whole() -> None:
    vector = np.arange(3 * wire._PIECE // 4 + 7, dtype=np.float32)
    [(_, body)] = read_whole(content(b"{}", vector))
    assert body == vector.tobytes()


def read_whole(sent: bytes) -> list[tuple[bytes, bytes]]:
    """The frames of a connection as a rank waits for them."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sending = threading.Thread(target=theirs.sendall, args=(sent,))
        sending.start()
        head, body = wire.receive(ours, wire.reading())
        sending.join()
    return [(bytes(head), bytes(body))]


def test_a_fit_arrives_as_it_was_sent() -> None:
    sent = messages.Open(job=2, fit=FIT)
    assert messages.to_rank(messages.encode(sent)) == sent


def test_what_is_no_message_is_refused() -> None:
    for said in (b"[]", b'{"type": "Eval"}', b"\x80\x04pickle"):
        with pytest.raises(msgspec.DecodeError):
            messages.from_rank(said)


def test_who_knows_the_secret_is_let_in_and_nobody_else() -> None:
    challenge = wire.challenge()
    response = wire.response("right", challenge)
    assert wire.proves_rank("right", challenge, response)
    assert not wire.proves_rank("wrong", challenge, response)
    assert not wire.proves_rank("right", wire.challenge(), response)


def test_a_driver_proves_itself_too() -> None:
    challenge = wire.challenge()
    response = wire.response("right", challenge)
    proof = wire.confirmation("right", challenge, response)
    wire.refuse_driver("right", challenge, response, proof)
    with pytest.raises(Forbidden):
        wire.refuse_driver("wrong", challenge, response, proof)
    with pytest.raises(Forbidden, match="that of another gang"):
        wire.refuse_driver("right", challenge, response, wire.REFUSAL)
    with pytest.raises(Forbidden):  # what a rank said is no proof of a driver
        wire.refuse_driver("right", challenge, response, response[32:])


def test_something_else_on_the_port_is_no_driver() -> None:
    with pytest.raises(Forbidden, match="is no driver"):
        wire.response("right", b"HTTP/1.1 400 Bad Request" + bytes(64))
