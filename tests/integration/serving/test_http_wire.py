"""What comes over a connection, byte by byte."""

from __future__ import annotations

import gzip
import select
import socket
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace

import psutil
import pytest

from fairlead.serving.settings import Limits, ProcessSettings
from tests.integration.serving.rig import (
    Process,
    Trained,
    everything,
    replies,
    request,
    rows_of,
    started,
)
from tests.support.waiting import wait_until

SHORT = Limits(
    body=1 << 20,
    head=8_192,
    connections=200,
    head_seconds=0.5,
    body_seconds=0.7,
    idle_seconds=0.6,
    answer_seconds=0.5,
    linger_seconds=0.5,
)
PACKETS = 152  # where Linux's tcp_info has tcpi_data_segs_in
PREDICT = "/models/houses:predict"
GET = request("/v2", method="GET")
LAST = request("/livez", b"", "Connection: close", method="GET")


@pytest.fixture(scope="module")
def strict(trained: Trained) -> Iterator[Process]:
    """A process with short deadlines and small limits."""
    settings = ProcessSettings(listen=(), channel=0, artifacts="", limits=SHORT)
    with started(trained, settings) as process:
        process.plan(trained.held("houses"))
        process.followed()
        yield process


@pytest.fixture
def body(trained: Trained) -> bytes:
    return rows_of(trained.golden("houses")[0][:1])


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


# ---- order and keeping ----------------------------------------------------------------------


def test_pipelined_requests_are_answered_in_order(process: Process, body: bytes) -> None:
    ids = [f"number-{index}" for index in range(50)]
    asked = b"".join(request(PREDICT, body, f"X-Request-Id: {name}") for name in ids)
    answered = process.raw(asked + LAST)
    assert [one.headers["x-request-id"] for one in answered[:-1]] == ids
    assert {one.status for one in answered} == {200}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how many packets came")
def test_an_answer_comes_in_one_packet(process: Process, body: bytes) -> None:
    with process.connect() as connection:
        connection.sendall(request(PREDICT, body))
        answered = b""
        while not answered.endswith(b"}"):
            answered += connection.recv(1 << 16)
        information = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        (packets,) = struct.unpack_from("I", information, PACKETS)
    assert packets == 1


def test_rubbish_behind_a_request_is_answered_after_it(process: Process, body: bytes) -> None:
    first, second = process.raw(request(PREDICT, body) + b"rubbish\r\n\r\n")
    assert (first.status, second.status) == (200, 400)
    assert second.headers["connection"] == "close"


def test_a_broken_body_behind_a_request_is_answered_after_it(process: Process, body: bytes) -> None:
    broken = request(PREDICT, b"", "Transfer-Encoding: chunked") + b"zz\r\n"
    first, second = process.raw(request(PREDICT, body) + broken)
    assert (first.status, second.status) == (200, 400)


def test_a_body_that_breaks_while_it_is_read_is_answered_once(process: Process) -> None:
    with process.connect() as connection:
        connection.sendall(request(PREDICT, b"", "Transfer-Encoding: chunked") + b"1\r\n{\r\n")
        assert process.ask("GET", "/livez").status == 200
        connection.sendall(b"zz\r\n")
        (answered,) = replies(everything(connection))
    assert answered.status == 400


def test_a_request_that_comes_byte_by_byte_is_whole_all_the_same(
    process: Process, body: bytes
) -> None:
    asked = request(PREDICT, body, "Connection: close")
    (answered,) = process.raw(*(asked[index : index + 1] for index in range(len(asked))))
    assert answered.status == 200


def test_a_client_that_has_said_all_is_still_answered(process: Process, body: bytes) -> None:
    (answered,) = process.raw(request(PREDICT, body), end=True)
    assert answered.status == 200


def test_a_connection_that_asks_for_another_protocol_is_served_in_this_one(
    process: Process, body: bytes
) -> None:
    """As Java's client does with its first request."""
    upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAA")
    first, second, third = process.raw(
        request(PREDICT, body, *upgrade) + request(PREDICT, body),
        request(PREDICT, body, "Connection: close"),
    )
    assert (first.status, second.status, third.status) == (200, 200, 200)


def test_any_number_of_requests_may_ask_so_at_once(process: Process) -> None:
    asking = request("/livez", b"", "Connection: Upgrade", "Upgrade: h2c", method="GET")
    answered = process.raw(asking * 2_000 + LAST)
    assert [one.status for one in answered] == [200] * 2_001


def test_the_body_of_such_a_request_may_come_later(process: Process, body: bytes) -> None:
    asked = request(
        PREDICT, b"", "Connection: Upgrade", "Upgrade: h2c", "Transfer-Encoding: chunked"
    )
    with process.connect() as connection:
        connection.sendall(asked)
        assert process.ask("GET", "/livez").status == 200
        connection.sendall(chunked(body[:7], body[7:]) + LAST)
        first, second = replies(everything(connection))
    assert (first.status, second.status) == (200, 200)


def test_a_client_that_asks_whether_to_send_is_told(process: Process, body: bytes) -> None:
    head = request(
        PREDICT, b"", f"Content-Length: {len(body)}", "Expect: 100-continue", "Connection: close"
    )
    with process.connect() as connection:
        connection.sendall(head)
        assert connection.recv(25, socket.MSG_WAITALL) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        (answered,) = replies(everything(connection))
    assert answered.status == 200


def test_a_client_that_asks_whether_to_send_too_much_is_told_no(process: Process) -> None:
    head = request(PREDICT, b"", f"Content-Length: {1 << 40}", "Expect: 100-continue")
    (answered,) = process.raw(head)
    assert answered.status == 413


def test_http_1_0_is_spoken(process: Process) -> None:
    (answered,) = process.raw(b"GET /livez HTTP/1.0\r\n\r\n")
    assert answered.status == 200


# ---- what others may understand differently -------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        request(PREDICT, b"abc", "Transfer-Encoding: chunked"),
        request(PREDICT, b"", "Transfer-Encoding: chunked", "Content-Length: 3") + b"0\r\n\r\n",
        request(PREDICT, b"abc", "Content-Length: 4"),
        request(PREDICT, b"abc", "Content-Length: 3"),
        request(PREDICT, b"", "Content-Length: -1"),
        request(PREDICT, b"", "Content-Length: +3") + b"abc",
        request(PREDICT, b"", "Content-Length: 99999999999999999999999"),
        request(PREDICT, b"", "Transfer-Encoding: identity") + b"abc",
        request(PREDICT, b"", "Transfer-Encoding: xchunked") + chunked(b"{}"),
        request(PREDICT, b"", "Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        request(PREDICT, b"", "Content-Length : 3") + b"abc",
        request(PREDICT, b"", "Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n",
        request(PREDICT, b"", "X-Folded: a\r\n b"),
        request("/livez", b"", "Host: other", method="GET"),
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\nHost: localhost\n\n",
        b"GET /livez HTTP/1.1\r\nHost: local\0host\r\n\r\n",
        b"GET /livez\r\n\r\n",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"{}"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\0" * 100,
    ],
)
def test_a_head_that_can_be_understood_in_two_ways_is_refused(
    process: Process, asked: bytes
) -> None:
    (answered,) = process.raw(asked + GET)
    assert answered.status == 400
    assert answered.error
    assert answered.headers["connection"] == "close"


def test_headers_behind_a_body_are_no_headers(process: Process, body: bytes) -> None:
    asked = request(PREDICT, b"", "Transfer-Encoding: chunked", "Connection: close")
    trailer = b"Fairlead-Revision: v9\r\n"
    content = chunked(body).removesuffix(b"\r\n") + trailer + b"\r\n"
    (answered,) = process.raw(asked + content)
    assert answered.status == 200


# ---- sizes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        (414, b"GET /" + b"a" * 40_000),
        (431, request("/v2", b"", "X-Long: " + "a" * 20_000, method="GET")),
        (
            431,
            request("/v2", b"", *(f"X-{index}: {index}" for index in range(2_000)), method="GET"),
        ),
    ],
)
def test_a_head_that_is_too_large_is_refused(strict: Process, status: int, asked: bytes) -> None:
    (answered,) = strict.raw(asked + b"\r\n")
    assert answered.status == status


def pour(connection: socket.socket, piece: bytes) -> None:
    """Send 200 MiB, as far as the other end lets it."""
    with suppress(ConnectionError):
        for _ in range((200 << 20) // len(piece)):
            connection.sendall(piece)


def test_a_header_without_end_is_cut_off(strict: Process) -> None:
    memory = psutil.Process(strict.child.pid).memory_info
    before = memory().rss
    with strict.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
        pour(connection, b"a" * (1 << 16))
    assert memory().rss - before < 16 << 20


def test_a_trailer_without_end_is_cut_off(strict: Process) -> None:
    memory = psutil.Process(strict.child.pid).memory_info
    before = memory().rss
    with strict.connect() as connection:
        connection.sendall(request(PREDICT, b"", "Transfer-Encoding: chunked") + b"0\r\nX-Long: ")
        pour(connection, b"a" * (1 << 16))
    assert memory().rss - before < 16 << 20


def test_a_body_announced_too_large_is_refused_unread(strict: Process) -> None:
    (answered,) = strict.raw(request(PREDICT, b"", f"Content-Length: {200 << 20}"))
    assert answered.status == 413
    assert answered.headers["connection"] == "close"
    assert "1048576 bytes" in answered.error


@pytest.mark.parametrize("framing", ["Content-Length: 209715200", "Transfer-Encoding: chunked"])
def test_a_client_that_sends_200_mebibytes_sees_why_not(strict: Process, framing: str) -> None:
    process = psutil.Process(strict.child.pid)
    before = process.memory_info().rss
    piece = b"a" * (1 << 16)
    piece = piece if "Length" in framing else b"10000\r\n" + piece + b"\r\n"
    with strict.connect() as connection:
        connection.sendall(request(PREDICT, b"", framing))
        sent = 0
        try:
            while sent < 200 << 20:
                sent += connection.send(piece)
        except OSError:
            assert sent > 1 << 20
        else:
            (answered,) = replies(everything(connection))
            assert answered.status == 413
    assert process.memory_info().rss - before < 16 << 20


def test_bodies_that_were_refused_do_not_stay_in_memory(strict: Process) -> None:
    process = psutil.Process(strict.child.pid)
    before = process.memory_info().rss
    chunk = b"10000\r\n" + b"a" * (1 << 16) + b"\r\n"
    refused = request(PREDICT, b"", "Transfer-Encoding: chunked") + 17 * chunk
    with ThreadPoolExecutor(10) as clients:  # each is heard to its end, half a second
        answers = clients.map(strict.raw, [refused] * 100)  # a mebibyte of each is in hand
        assert {answer.status for (answer,) in answers} == {413}
    assert process.memory_info().rss - before < 16 << 20


def test_a_small_body_that_nobody_wants_costs_no_connection(process: Process) -> None:
    answered = process.raw(request("/nothing", b"x" * 1_000) + LAST)
    assert [one.status for one in answered] == [404, 200]


def test_a_large_body_that_nobody_wants_closes_the_connection(process: Process) -> None:
    (answered,) = process.raw(request("/nothing", b"x" * 200_000) + LAST)
    assert (answered.status, answered.headers["connection"]) == (404, "close")


def padded(body: bytes, size: int) -> bytes:
    return body + b" " * (size - len(body))


@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 413)])
def test_a_body_may_be_as_large_as_the_limit_and_no_larger(
    strict: Process, body: bytes, more: int, status: int
) -> None:
    whole = padded(body, SHORT.body + more)
    close = "Connection: close"
    (plain,) = strict.raw(request(PREDICT, whole, close))
    (parted,) = strict.raw(
        request(PREDICT, b"", "Transfer-Encoding: chunked", close) + chunked(whole)
    )
    packed = gzip.compress(whole)
    (unpacked,) = strict.raw(request(PREDICT, packed, "Content-Encoding: gzip", close))
    assert [one.status for one in (plain, parted, unpacked)] == [status] * 3


@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 431)])
def test_a_head_may_be_as_large_as_the_limit_and_no_larger(
    strict: Process, more: int, status: int
) -> None:
    counted = (
        sum(map(len, ("/livez", "Host", "localhost", "Connection", "close", "X-Long"))) + 3 * 4
    )
    long = "x" * (SHORT.head - counted + more)
    (answered,) = strict.raw(
        request("/livez", b"", "Connection: close", f"X-Long: {long}", method="GET")
    )
    assert answered.status == status


# ---- packed bodies --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("identity", bytes),
        ("gzip", lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:])),
    ],
)
def test_a_packed_body_is_unpacked(
    process: Process, body: bytes, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    reply = process.ask("POST", PREDICT, pack(body), {"Content-Encoding": encoding})
    assert reply.status == 200


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b'{"rows": []}', mtime=0)[:-4]),
        ("gzip", gzip.compress(b'{"rows": []}', mtime=0)[:5]),
        ("gzip", b""),
        ("gzip", b"not packed"),
        ("gzip", gzip.compress(b"{}", mtime=0) + b"more"),
        ("gzip", gzip.compress(b"", mtime=0) * 2_000),
        ("deflate", zlib.compress(b"{}") + b"more"),
        ("deflate", b"not packed"),
    ],
)
def test_a_body_that_is_packed_wrongly_is_refused(
    process: Process, encoding: str, packed: bytes
) -> None:
    reply = process.ask("POST", PREDICT, packed, {"Content-Encoding": encoding})
    assert reply.status == 400
    assert encoding in reply.error


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "zstd", "\x01"])
def test_a_packing_that_is_not_known_is_refused(process: Process, encoding: str) -> None:
    reply = process.raw(
        request(
            PREDICT,
            b"{}",
            f"Content-Encoding: {encoding.strip(chr(1)) or 'none'}",
            "Connection: close",
        )
    )[0]
    assert reply.status == 415
    assert reply.headers["accept-encoding"] == "gzip, deflate"


def test_a_body_that_unpacks_without_end_is_cut_off(strict: Process) -> None:
    bomb = gzip.compress(b"0" * (500 << 20), compresslevel=1)
    bomb = bomb if len(bomb) < SHORT.body else gzip.compress(b"0" * (200 << 20))
    assert len(bomb) < SHORT.body
    process = psutil.Process(strict.child.pid)
    before = process.memory_info().rss
    assert strict.ask("POST", PREDICT, bomb, {"Content-Encoding": "gzip"}).status == 413
    assert process.memory_info().rss - before < 16 << 20


# ---- time -----------------------------------------------------------------------------------


def closes_within(connection: socket.socket, seconds: float) -> bytes:
    connection.settimeout(seconds)
    return everything(connection)


def test_a_connection_that_says_nothing_is_closed(strict: Process) -> None:
    with strict.connect() as connection:
        assert closes_within(connection, 5) == b""


@pytest.mark.parametrize("begun", [b"GET /v2 HT", b"GET /v2 HTTP/1.1\r\nHost: loc", b"G"])
def test_a_head_that_does_not_end_is_told_so(strict: Process, begun: bytes) -> None:
    with strict.connect() as connection:
        connection.sendall(begun)
        (answered,) = replies(closes_within(connection, 5))
    assert answered.status == 408


def test_a_second_head_that_does_not_end_is_told_so(strict: Process) -> None:
    with strict.connect() as connection:
        connection.sendall(GET)
        connection.recv(1)
        connection.sendall(b"\r\n\r\nGET /v2 HT")
        assert b"HTTP/1.1 408" in closes_within(connection, 5)


def test_a_connection_that_only_sends_blank_lines_is_closed(strict: Process) -> None:
    with strict.connect() as connection:
        wait_until(lambda: not takes(connection, b"\r\n"), seconds=10)


def takes(connection: socket.socket, more: bytes) -> bool:
    """Whether the other end still takes bytes."""
    try:
        connection.sendall(more)
    except ConnectionError:
        return False
    return True


def test_a_body_that_comes_a_byte_at_a_time_is_told_so(strict: Process) -> None:
    with strict.connect() as connection:
        connection.sendall(request(PREDICT, b"", "Content-Length: 1000"))
        connection.settimeout(0.05)
        came = b""
        began = time.monotonic()
        while not came and time.monotonic() < began + 10:
            connection.sendall(b"x")
            try:
                came = connection.recv(1 << 16)
            except TimeoutError:
                continue
        (answered,) = replies(came)
    assert (answered.status, answered.headers["connection"]) == (408, "close")


def test_a_connection_that_is_kept_for_nothing_is_closed(strict: Process) -> None:
    with strict.connect() as connection:
        connection.sendall(GET)
        (answered,) = replies(closes_within(connection, 5))
    assert answered.status == 200


def test_an_answer_that_nobody_takes_does_not_stay(strict: Process) -> None:
    """Requests without end, and not one answer read."""
    files = psutil.Process(strict.child.pid).num_fds
    before = files()
    with strict.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_024)
        connection.settimeout(60)
        wait_until(lambda: not takes(connection, request("/openapi.json", method="GET") * 100))
    wait_until(lambda: files() <= before)


def test_a_client_that_takes_its_answers_slowly_gets_all_of_them(strict: Process) -> None:
    """More than the system holds for it, over several times what it may take nothing for."""
    asked = 200
    with strict.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        connection.sendall(request("/openapi.json", method="GET") * (asked - 1) + LAST)
        taken = b""
        patience = time.monotonic() + 4 * SHORT.answer_seconds
        while time.monotonic() < patience:
            taken += connection.recv(1 << 12)
            select.select([], [], [], 0.02)
        taken += everything(connection)
    assert len(replies(taken)) == asked


# ---- crowds ---------------------------------------------------------------------------------


def test_a_thousand_silent_connections_keep_nobody_out(trained: Trained) -> None:
    limits = replace(Limits(), connections=100)
    settings = ProcessSettings(listen=(), channel=0, artifacts="", limits=limits)
    with started(trained, settings) as process, ExitStack() as silent:
        process.plan(trained.held("houses"))
        process.followed()
        files = psutil.Process(process.child.pid).num_fds
        few = files()
        for _ in range(1_000):
            silent.enter_context(process.connect())
        body = rows_of(trained.golden("houses")[0][:1])
        for _ in range(20):
            assert process.ask("POST", PREDICT, body).status == 200
        assert files() <= few + 110


def test_a_crowd_of_busy_connections_is_told_to_come_again(trained: Trained) -> None:
    limits = replace(Limits(), connections=3)
    settings = ProcessSettings(listen=(), channel=0, artifacts="", limits=limits)
    with started(trained, settings) as process, ExitStack() as stack:
        process.plan(trained.held("houses"))
        process.followed()
        busy = [stack.enter_context(process.connect()) for _ in range(3)]
        for connection in busy:
            connection.sendall(request(PREDICT, b"", "Content-Length: 10"))
            connection.sendall(b"x")
        refused = wait_until(lambda: [one for one in process.raw(GET) if one.status == 503])
        assert refused[0].headers["retry-after"] == "1"
        busy.pop().close()
        wait_until(lambda: process.ask("GET", "/v2").status == 200)
