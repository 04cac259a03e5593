"""Each answer obeys RFC 9110 for its status and method, whatever was asked of whichever route."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from fairlead.records import Allowance
from fairlead.serving.http.guard import hashed
from fairlead.serving.plan import Missing, Plan, Split
from fairlead.serving.settings import Limits, ProcessSettings
from tests.integration.serving.rig import (
    Process,
    Reply,
    Trained,
    confirmed_of,
    everything,
    request,
    started,
)
from tests.support.waiting import wait_until

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")
UNKNOWN = ("BREW", "PROPFIND", "get")
READ = (
    "/",
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
    "/livez",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/v2/models/houses",
    "/v2/models/houses/ready",
    "/v2/models/houses/versions/1",
    "/v2/models/houses/versions/v1/ready",
)
POSTED = (
    "/models/houses:predict",
    "/models/houses/versions/1:predict",
    "/v2/models/houses/infer",
    "/v2/models/houses/versions/v1/infer",
)
NOWHERE = ("/nothing", "/v2/models/houses/nothing", "/models/houses")
NOBODY = ("/v2/models/nobody", "/v2/models/nobody/ready", "/v2/models/houses/versions/9")
TOKEN = "a token"
CHALLENGE = re.compile(r'Bearer realm="[^"]*"')
CLOSED = {408, 414, 417, 431, 501, 505}  # what is left of the request cannot be told, or not wanted
SMALL = Limits(body=1 << 12, head=2_048, head_seconds=0.4, body_seconds=0.4, rows=2)


# ---- what RFC 9110 wants of an answer -------------------------------------------------------


def faults(method: str, reply: Reply, wire: bytes) -> list[str]:
    """What is wrong with an answer, by its method and status.

    Args:
        method: That was asked.
        reply: The answer.
        wire: Its bytes, with all that came behind it.
    """
    head, _, content = wire.partition(b"\r\n\r\n")
    found = [*_of_date(reply), *_of_status(method, reply), *_of_content(method, reply, content)]
    names = [line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]]
    if len(names) > len(set(names)):
        found.append(f"a header twice: {names}")
    return found


def _of_date(reply: Reply) -> Iterator[str]:
    """6.6.1"""
    date = reply.headers.get("date", "")
    if not re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", date):
        yield f"Date {date!r}"
    else:
        parsedate_to_datetime(date)


def _of_status(method: str, reply: Reply) -> Iterator[str]:
    headers = reply.headers
    if reply.status == 401 and not CHALLENGE.fullmatch(headers.get("www-authenticate", "")):
        yield "401 without WWW-Authenticate (15.5.2)"
    if reply.status == 405 and method in headers.get("allow", method).split(", "):
        yield "405 without Allow, or with what it refuses (15.5.6)"
    if reply.status == 415 and "accept-encoding" not in headers:
        yield "415 of a coding without Accept-Encoding (15.5.16)"
    if reply.status in {408, 505} and headers.get("connection") != "close":
        yield "it goes on after a request that was not understood (15.5.9)"
    if reply.status == 429 and "retry-after" not in headers:
        yield "429 does not say when (RFC 6585)"
    if not headers.get("retry-after", "1").isdigit():
        yield "Retry-After is no number of seconds (10.2.3)"


def _of_content(method: str, reply: Reply, content: bytes) -> Iterator[str]:
    headers = reply.headers
    if "transfer-encoding" in headers:
        yield "chunked, where the length is known"
    if reply.status == 204:
        if content or headers.keys() & {"content-length", "content-type"}:
            yield "204 with content, or its length (8.6)"
        return
    if "content-type" not in headers:
        yield "no Content-Type (8.3)"
    length = int(headers.get("content-length", -1))
    if length <= 0:
        yield "no Content-Length (8.6)"
    if len(content) != (0 if method == "HEAD" else length):
        yield f"{len(content)} bytes of content, where {length} are said (9.3.2)"
    if method != "HEAD" and headers.get("content-type") == "application/json":
        json.loads(content)


def asked(
    process: Process, method: str, path: str, body: bytes = b"", *headers: str
) -> tuple[Reply, bytes]:
    """The one answer to a request, over a connection of its own."""
    content = request(path, body, "Connection: close", *headers, method=method)
    return sent(process, content)


def sent(process: Process, content: bytes, *, end: bool = False) -> tuple[Reply, bytes]:
    with process.connect() as connection:
        connection.sendall(content)
        if end:
            connection.shutdown(socket.SHUT_WR)
        wire = everything(connection)
    head, _, rest = wire.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    named = {name.lower(): value for name, value in (one.split(": ", 1) for one in lines)}
    return Reply(status=int(first.split()[1]), headers=named, body=rest), wire


def checked(process: Process, method: str, path: str, body: bytes = b"", *headers: str) -> Reply:
    reply, wire = asked(process, method, path, body, *headers)
    assert faults(method, reply, wire) == [], (method, path, wire)
    return reply


# ---- all routes, all methods ----------------------------------------------------------------


@pytest.mark.parametrize("path", READ)
def test_what_is_read_takes_get_head_and_options(process: Process, path: str) -> None:
    found = {method: checked(process, method, path) for method in METHODS}
    assert {method: reply.status for method, reply in found.items()} == {
        **dict.fromkeys(METHODS, 405),
        "GET": 200,
        "HEAD": 200,
        "OPTIONS": 204,
    }
    allowed = {reply.headers["allow"] for reply in found.values() if "allow" in reply.headers}
    assert allowed == {"GET, HEAD, OPTIONS"}
    assert found["HEAD"].headers["content-type"] == found["GET"].headers["content-type"]
    if path != "/metrics":  # it counts what asks for it
        assert found["HEAD"].headers["content-length"] == found["GET"].headers["content-length"]


@pytest.mark.parametrize("path", POSTED)
def test_what_predicts_takes_post_and_options(process: Process, path: str) -> None:
    found = {method: checked(process, method, path, b"{}") for method in METHODS}
    assert {method: reply.status for method, reply in found.items()} == {
        **dict.fromkeys(METHODS, 405),
        "POST": 400,
        "OPTIONS": 204,
    }
    allowed = {reply.headers["allow"] for reply in found.values() if "allow" in reply.headers}
    assert allowed == {"POST, OPTIONS"}


@pytest.mark.parametrize("path", NOWHERE)
@pytest.mark.parametrize("method", METHODS)
def test_what_is_not_there_is_not_there_for_any_method(
    process: Process, path: str, method: str
) -> None:
    assert checked(process, method, path).status == 404


@pytest.mark.parametrize("path", NOBODY)
def test_a_model_or_version_that_is_not_there_is_404(process: Process, path: str) -> None:
    assert {checked(process, method, path).status for method in ("GET", "HEAD")} == {404}


@pytest.mark.parametrize("path", ["/", "/nothing", "/livez", *POSTED[:1]])
@pytest.mark.parametrize("method", UNKNOWN)
def test_a_method_that_http_does_not_define_is_not_implemented_anywhere(
    process: Process, path: str, method: str
) -> None:
    reply = checked(process, method, path)
    assert reply.status == 501
    assert repr(method) in reply.error


def test_the_server_as_a_whole_may_be_asked_what_it_takes(process: Process) -> None:
    assert checked(process, "OPTIONS", "*").status == 204


def test_all_answers_stand_one_behind_the_other_on_one_connection(process: Process) -> None:
    """As a proxy keeps it: an answer with a byte too many or too few would shift the next one."""
    client = http.client.HTTPConnection("127.0.0.1", process.port, timeout=30)
    try:
        client.connect()
        mine = client.sock
        for path in (*READ, *POSTED, *NOWHERE, *NOBODY):
            for method in METHODS:
                client.request(method, path, b"{}")
                client.getresponse().read()
                assert client.sock is mine, (method, path)
    finally:
        client.close()


# ---- statuses -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(trained: Trained) -> Iterator[Process]:
    """A process with tight limits, a model that is busy at once, one that is missing one out."""
    missing = Missing(version=2, why="it is gone")
    with started(trained, settings(limits=SMALL)) as process:
        held = (
            trained.held("houses"),
            trained.held("kinds", allowance=Allowance(max_concurrency=0)),
        )
        splits = (
            Split(model="houses", route=1, traffic={"v1": 100}),
            Split(model="kinds", route=1, traffic={"v1": 100}),
            Split(model="gone", route=1, traffic={"v2": 100}, missing={"v2": missing}),
            Split(model="out", route=1, traffic={}, out="out of service since today"),
        )
        process.serial = 1
        confirmed = confirmed_of(held, splits)
        process.tell(Plan(serial=1, held=held, splits=splits, confirmed=confirmed))
        wait_until(lambda: process.ask("GET", "/v2/models/houses/ready").status == 200)
        yield process


def settings(**more: Any) -> ProcessSettings:
    return ProcessSettings(listen=(), channel=0, artifacts="", **more)


KINDS = json.dumps({"rows": [{"size": 0.5, "weight": 1, "city": "Ulm"}]}).encode()


@pytest.mark.parametrize(
    ("status", "asking"),
    [
        (400, ("POST", POSTED[0], b"{", ())),
        (
            400,
            ("POST", POSTED[0], b"", ()),
        ),  # not 411: without a length there is no body (RFC 9112)
        (400, ("POST", f"{POSTED[0]}?a=b", b"{}", ())),
        (400, ("POST", POSTED[2], b"{}", ("Inference-Header-Content-Length: x",))),
        (400, ("GET", "/v2", b"", ("Host: another",))),
        (400, ("HEAD", "/v2", b"", ("Host: another",))),
        (403, ("GET", "/v2", b"", ("Origin: http://elsewhere.example",))),
        (403, ("HEAD", "/v2", b"", ("Origin: http://elsewhere.example",))),
        (404, ("HEAD", "/nothing", b"", ())),
        (413, ("POST", POSTED[0], b" " * 5_000, ())),
        (413, ("POST", POSTED[0], b"", ("Content-Length: 1000000",))),
        (414, ("GET", "/" + "a" * 3_000, b"", ())),
        (414, ("HEAD", "/" + "a" * 3_000, b"", ())),
        (415, ("POST", POSTED[0], b"{}", ("Content-Encoding: br",))),
        (417, ("POST", POSTED[0], b"{}", ("Expect: the unexpected",))),
        (417, ("HEAD", "/", b"", ("Expect: the unexpected",))),
        (429, ("POST", "/models/kinds:predict", KINDS, ())),
        (431, ("GET", "/v2", b"", ("X-Long: " + "a" * 3_000,))),
        (431, ("HEAD", "/v2", b"", ("X-Long: " + "a" * 3_000,))),
        (501, ("POST", POSTED[0], b"", ("Transfer-Encoding: gzip, chunked",))),
        (501, ("CONNECT", "localhost:80", b"", ())),
        (503, ("POST", "/models/gone:predict", b"{}", ())),
        (503, ("GET", "/v2/models/gone", b"", ())),
        (503, ("HEAD", "/v2/models/gone/ready", b"", ())),
        (503, ("GET", "/v2/models/out/ready", b"", ())),
        (503, ("POST", "/models/out:predict", b"{}", ())),
    ],
)
def test_each_status_comes_with_what_belongs_to_it(
    small: Process, status: int, asking: tuple[str, str, bytes, tuple[str, ...]]
) -> None:
    method, path, body, headers = asking
    reply = checked(small, method, path, body, *headers)
    assert reply.status == status
    if status in CLOSED:
        assert reply.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (400, b"GET /livez\r\n\r\n"),
        (400, b"\x16\x03\x01\x02\x00"),
        (408, b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n"),
        (408, request(POSTED[0], b"", "Content-Length: 10") + b"{"),
        (505, b"GET /livez HTTP/2.0\r\nHost: localhost\r\n\r\n"),
        (505, b"GET /livez HTTP/3.0\r\nHost: localhost\r\n\r\n"),
        (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ],
)
def test_what_is_no_whole_request_is_answered_by_the_same_rules(
    small: Process, status: int, content: bytes
) -> None:
    reply, wire = sent(small, content)
    assert reply.status == status
    assert faults("GET", reply, wire) == []
    assert reply.headers["connection"] == "close"


@contextmanager
def guarded(trained: Trained) -> Iterator[Process]:
    with started(trained, settings(tokens=(hashed(TOKEN),))) as process:
        process.plan(trained.held("houses"))
        process.followed()
        yield process


def test_without_a_token_every_route_but_health_says_what_it_wants(trained: Trained) -> None:
    with guarded(trained) as process:
        for path in (*READ, *POSTED, *NOWHERE):
            wanted = 200 if path in {*READ[2:6]} else 401
            for method in ("GET", "HEAD"):
                assert checked(process, method, path).status == wanted, path
        bearer = f"Authorization: bearer {TOKEN}"  # schemes have no case (11.1)
        assert checked(process, "GET", "/v2", b"", bearer).status == 200


# ---- expectations ---------------------------------------------------------------------------


def test_after_a_final_answer_in_place_of_100_the_next_request_is_not_taken_for_the_body(
    process: Process,
) -> None:
    """A client that was refused sends no body, and may go on with another request (10.1.1)."""
    waiting = request("/nothing", b"", "Content-Length: 50", "Expect: 100-continue")
    with process.connect() as connection:
        connection.sendall(waiting)
        wire = everything(connection)
    assert wire.startswith(b"HTTP/1.1 404 ")
    assert b"\r\nconnection: close\r\n" in wire


def test_to_http_1_0_no_100_is_sent(process: Process) -> None:
    """10.1.1: such an expectation of HTTP/1.0 is ignored."""
    head = f"POST {POSTED[0]} HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    with process.connect() as connection:
        connection.sendall(head.encode())
        connection.sendall(b"{}")
        assert everything(connection).startswith(b"HTTP/1.1 400 ")
