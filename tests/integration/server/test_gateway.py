"""The gateway before real servers: what it holds, passes on, and refuses."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fairlead.operator.activity import ActivityWatch
from tests.integration.server.rig import MODEL, Home, serving
from tests.support.ports import free_ports
from tests.support.waiting import wait_until


@contextlib.contextmanager
def gateway(folder: Path, port: int, *words: str) -> Iterator[str]:
    """A gateway whose replicas are at this port; its URL."""
    log = folder / "gateway.log"
    command = [sys.executable, "-m", "fairlead", "gateway", "--port", "0"]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--to", f"http://127.0.0.1:{port}", *words], stdout=file, stderr=file
        )
    try:
        found = wait_until(lambda: re.search(r"http://\S+", log.read_text()))
        yield found.group()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def asked(
    url: str, path: str, body: bytes | None = None
) -> tuple[int, Any, Mapping[str, str | None]]:
    parts = urlsplit(url)
    client = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    with contextlib.closing(client):
        client.request("POST" if body else "GET", path, body=body)
        answer = client.getresponse()
        return answer.status, json.loads(answer.read() or b"null"), dict(answer.headers)


def predicted(url: str, number: float) -> tuple[int, Any]:
    body = json.dumps({"rows": [{"number": number}]}).encode()
    status, answer, _ = asked(url, f"/models/{MODEL}:predict", body)
    return status, answer


def waiting(url: str) -> dict[str, int]:
    return dict(asked(url, "/waiting")[1])


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


def test_requests_wait_for_the_first_replica_and_are_answered_by_it(
    home: Home, port: int, tmp_path: Path
) -> None:
    home.deploy(1)
    with gateway(tmp_path, port) as url, ThreadPoolExecutor(8) as clients:
        numbers = [float(number) for number in range(8)]
        answers = [clients.submit(predicted, url, number) for number in numbers]
        wait_until(lambda: waiting(url) == {MODEL: 8})
        with serving(home, "--port", str(port)) as served:
            held = [answer.result(60) for answer in answers]
            directly = [predicted(served.url, number) for number in numbers]
            assert [status for status, _ in held] == [200] * 8
            assert [answer["predictions"] for _, answer in held] == [
                answer["predictions"] for _, answer in directly
            ]
            assert waiting(url) == {}
            status, answer, headers = asked(url, f"/v2/models/{MODEL}")
            assert (status, answer["name"]) == (200, MODEL)
            assert headers["connection"] == "close"


def test_a_request_that_reaches_no_replica_after_all_waits_for_the_next_one(
    home: Home, port: int, tmp_path: Path
) -> None:
    home.deploy(1)
    with gateway(tmp_path, port) as url, ThreadPoolExecutor(1) as clients:
        with ready_once(port):
            answer = clients.submit(predicted, url, 3.0)
        wait_until(lambda: waiting(url) == {MODEL: 1})
        with serving(home, "--port", str(port)):
            assert answer.result(60)[0] == 200


@contextlib.contextmanager
def ready_once(port: int) -> Iterator[None]:
    """A replica that says that it is ready, and is gone then."""
    with socket.create_server(("127.0.0.1", port)) as server:
        yield
        connection, _ = server.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")


def test_who_asks_what_waits_is_told_once_something_does(port: int, tmp_path: Path) -> None:
    with gateway(tmp_path, port) as url, ThreadPoolExecutor(2) as clients:
        nothing = asked(url, "/waiting?seconds=1")[1]
        told = clients.submit(asked, url, "/waiting?seconds=60")
        answer = clients.submit(predicted, url, 1.0)
        assert told.result(50)[1] == {MODEL: 1}
        assert nothing == {}
        assert answer.result(60)[0] == 503


def test_what_a_replica_refuses_is_refused_in_its_own_words(
    home: Home, port: int, tmp_path: Path
) -> None:
    home.deploy(1)
    with gateway(tmp_path, port) as url, serving(home, "--port", str(port)) as served:
        path = f"/models/{MODEL}:predict"
        through, direct = (asked(one, path, b'{"rows": [{}]}') for one in (url, served.url))
        assert through[:2] == direct[:2]
        assert through[0] == 400


def test_a_request_that_waits_too_long_is_told_when_to_ask_again(port: int, tmp_path: Path) -> None:
    with gateway(tmp_path, port, "--seconds", "1") as url:
        began = time.monotonic()
        status, answer, headers = asked(url, f"/models/{MODEL}:predict", b"{}")
        assert 1.0 <= time.monotonic() - began < 10.0
        assert (status, headers["retry-after"]) == (503, "5")
        assert f"no replica of model '{MODEL}'" in answer["error"]
        assert waiting(url) == {}


def test_no_more_are_held_of_a_model_than_half_of_the_room(port: int, tmp_path: Path) -> None:
    with (
        gateway(tmp_path, port, "--hold", "4", "--seconds", "4") as url,
        ThreadPoolExecutor(2) as clients,
    ):
        held = [clients.submit(predicted, url, 1.0) for _ in range(2)]
        wait_until(lambda: waiting(url) == {MODEL: 2})
        status, _, headers = asked(url, f"/models/{MODEL}:predict", b"{}")
        assert (status, headers["retry-after"]) == (503, "5")
        assert [answer.result(30)[0] for answer in held] == [503, 503]


def test_who_leaves_is_not_waited_for(port: int, tmp_path: Path) -> None:
    with gateway(tmp_path, port) as url:
        parts = urlsplit(url)
        with socket.create_connection((parts.hostname, parts.port)) as client:
            head = f"POST /models/{MODEL}:predict HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n"
            client.sendall(head.encode() + b"{}")
            wait_until(lambda: waiting(url) == {MODEL: 1})
        wait_until(lambda: waiting(url) == {})


@pytest.mark.parametrize("path", ["/", "/models/", "/models/no.host:predict", "/v2/models/A/infer"])
def test_what_names_no_model_reaches_no_replica(path: str, port: int, tmp_path: Path) -> None:
    with gateway(tmp_path, port, "--seconds", "20") as url:
        assert asked(url, path)[0] == 404


def test_a_body_that_is_too_large_is_refused(port: int, tmp_path: Path) -> None:
    with gateway(tmp_path, port, "--seconds", "20") as url:
        status, answer, _ = asked(url, f"/models/{MODEL}:predict", b"x" * ((16 << 20) + 1))
        assert status == 413
        assert "16777216 bytes" in answer["error"]


def test_an_address_that_is_none_is_refused_in_a_line() -> None:
    command = [sys.executable, "-m", "fairlead", "gateway", "--to"]
    for address in ("replicas:8000", "ftp://a", "http://a/path"):
        done = subprocess.run(
            [*command, address], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert address in done.stderr


def test_the_operator_tells_a_gateway_that_is_away_from_one_that_holds_nothing(
    port: int, tmp_path: Path
) -> None:
    now = [0.0]
    with gateway(tmp_path, port) as url:
        watch = ActivityWatch(gateway=url, token="", clock=lambda: now[0])
        assert watch.waiting(MODEL) == 0
    told = []
    for now[0] in (100.0, 109.0, 110.0):
        told.append(watch.waiting(MODEL))
    assert told == [0, 0, None]
