"""Artefacts go up and down over HTTP, whole or in pieces, and nothing else is ever stored."""

from __future__ import annotations

import hashlib
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from tests.integration.api.conftest import Home
from tests.support.control_server import control_server
from tests.support.disks import small_disk
from tests.support.waiting import wait_until

from fairlead.api import bodies, uploads
from fairlead.api.bodies import Arrivals
from fairlead.server.auth import add_token, remove_token
from fairlead.stores import Stores

Clients = Callable[..., httpx2.Client]
CONTENT = random.Random(0).randbytes(3_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
FILE = f"/api/v1/artifacts/{DIGEST}"
BEGIN = {"digest": DIGEST, "size": len(CONTENT)}


@pytest.fixture
def client(home: Home, in_process: Clients) -> httpx2.Client:
    return in_process(add_token(home.settings.tokens, "ann", role="worker"))


def left_behind(home: Home) -> list[Path]:
    return [each for each in home.settings.uploads.glob("*") if each.suffix != ".json"]


def begun(client: httpx2.Client, **of: object) -> str:
    answer = client.post("/api/v1/uploads", json={**BEGIN, **of})
    assert answer.status_code == 200, answer.text
    return f"/api/v1/uploads/{answer.json()['upload']}"


def append(client: httpx2.Client, to: str, offset: int, content: bytes) -> httpx2.Response:
    return client.patch(to, content=content, headers={"Upload-Offset": str(offset)})


def test_a_file_goes_up_and_comes_down(home: Home, client: httpx2.Client, stores: Stores) -> None:
    assert client.head(FILE).status_code == 404
    assert client.get(FILE).json()["code"] == "not_found"
    for _ in range(2):
        answer = client.put(FILE, content=CONTENT)
        assert (answer.status_code, answer.json()) == (200, BEGIN)
    assert stores.artifacts.get(DIGEST) == CONTENT
    assert left_behind(home) == []
    assert client.head(FILE).status_code == 200
    down = client.get(FILE)
    assert down.content == CONTENT
    assert down.headers["etag"] == f'"{DIGEST}"'
    assert client.get(FILE, headers={"If-None-Match": down.headers["etag"]}).status_code == 304


@pytest.mark.parametrize(
    ("wanted", "begin", "end"),
    [("bytes=0-0", 0, 1), ("bytes=100-1000099", 100, 1_000_100), ("bytes=-7", -7, None)],
)
def test_a_part_of_a_file_comes_down(
    client: httpx2.Client, wanted: str, begin: int, end: int | None
) -> None:
    client.put(FILE, content=CONTENT)
    part = client.get(FILE, headers={"Range": wanted})
    assert part.status_code == 206
    assert part.content == CONTENT[begin:end]
    first = begin % len(CONTENT)
    last = first + len(part.content) - 1
    assert part.headers["content-range"] == f"bytes {first}-{last}/{len(CONTENT)}"


def test_a_range_that_is_not_there_is_refused_and_an_odd_one_is_all(client: httpx2.Client) -> None:
    client.put(FILE, content=CONTENT)
    for beyond in ("bytes=3000000-", "bytes=9-8", "bytes=-0"):
        answer = client.get(FILE, headers={"Range": beyond})
        assert answer.status_code == 416
        assert answer.headers["content-range"] == "bytes */3000000"
    for odd in ("bytes=-", "rows=1-2", "bytes=0-1,4-5"):
        assert client.get(FILE, headers={"Range": odd}).content == CONTENT
    empty = hashlib.sha256(b"").hexdigest()
    assert client.put(f"/api/v1/artifacts/{empty}", content=b"").status_code == 200
    assert client.get(f"/api/v1/artifacts/{empty}").content == b""
    assert (
        client.get(f"/api/v1/artifacts/{empty}", headers={"Range": "bytes=1-"}).status_code == 416
    )


def test_a_file_of_another_digest_is_not_kept(
    home: Home, client: httpx2.Client, stores: Stores
) -> None:
    answer = client.put(FILE, content=CONTENT[:-1])
    assert (answer.status_code, answer.json()["code"]) == (400, "wrong_digest")
    upload = begun(client)
    wrong = append(client, upload, 0, CONTENT[:-1] + b"x")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "wrong_digest")
    assert client.get(upload).status_code == 404
    assert not stores.artifacts.exists(DIGEST)
    assert not stores.artifacts.exists(hashlib.sha256(CONTENT[:-1]).hexdigest())
    assert list(home.settings.uploads.iterdir()) == []
    assert client.put("/api/v1/artifacts/..%2Ftokens.json", content=b"x").status_code in {404, 422}


def test_an_upload_goes_on_from_where_it_is(
    home: Home, client: httpx2.Client, stores: Stores
) -> None:
    upload = begun(client)
    assert append(client, upload, 0, CONTENT[:1_500_000]).json()["offset"] == 1_500_000
    assert begun(client) == upload
    assert client.get(upload).json()["offset"] == 1_500_000
    for offset in (0, 1_499_999, 1_500_001):
        refused = append(client, upload, offset, CONTENT[offset : offset + 10])
        assert (refused.status_code, refused.json()["code"]) == (409, "wrong_offset")
    assert not stores.artifacts.exists(DIGEST)
    done = append(client, upload, 1_500_000, CONTENT[1_500_000:])
    assert done.json()["offset"] == len(CONTENT)
    assert stores.artifacts.get(DIGEST) == CONTENT
    assert client.get(upload).status_code == 404
    assert list(home.settings.uploads.iterdir()) == []


def test_an_upload_is_its_callers(home: Home, in_process: Clients, client: httpx2.Client) -> None:
    other = in_process(add_token(home.settings.tokens, "bob", role="submitter"))
    upload = begun(client)
    assert other.get(upload).status_code == 404
    assert append(other, upload, 0, b"x").status_code == 404
    assert other.delete(upload).status_code == 404
    assert begun(other) != upload
    assert client.delete(upload).status_code == 204
    assert client.get(upload).status_code == 404


def test_uploads_are_bounded_in_size_number_and_age(
    home: Home, client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = home.settings.max_upload
    large = client.post("/api/v1/uploads", json={**BEGIN, "size": most + 1})
    assert (large.status_code, large.json()["code"]) == (413, "too_large")
    upload = begun(client, size=10)
    more = append(client, upload, 0, b"x" * 11)
    assert (more.status_code, more.json()["code"]) == (413, "too_large")

    def endless() -> Iterator[bytes]:
        yield b"x" * 6
        yield b"x" * 6

    unannounced = client.patch(upload, content=endless(), headers={"Upload-Offset": "0"})
    assert (unannounced.status_code, unannounced.json()["code"]) == (413, "too_large")
    monkeypatch.setattr(uploads, "MOST", 2)
    begun(client, size=11)
    full = client.post("/api/v1/uploads", json={**BEGIN, "size": 12})
    assert (full.status_code, full.json()["code"]) == (503, "overloaded")
    monkeypatch.setattr(uploads, "AGE", -1.0)
    begun(client, size=12)
    assert len(left_behind(home)) == 1


def test_one_caller_leaves_places_to_others(
    home: Home,
    client: httpx2.Client,
    in_process: Callable[..., httpx2.Client],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uploads, "MOST_OF_ONE", 2)
    begun(client, size=10)
    begun(client, size=11)
    full = client.post("/api/v1/uploads", json={**BEGIN, "size": 12})
    assert (full.status_code, full.json()["code"]) == (503, "overloaded")
    begun(in_process(add_token(home.settings.tokens, "bob", role="worker")), size=12)


def test_an_upload_is_not_that_of_a_later_token_of_the_same_name(
    home: Home, client: httpx2.Client, in_process: Callable[..., httpx2.Client]
) -> None:
    upload = begun(client, size=10)
    remove_token(home.settings.tokens, "ann")
    later = in_process(add_token(home.settings.tokens, "ann", role="worker"))
    assert later.get(upload).status_code == 404


def test_only_so_many_files_arrive_at_once(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "_AT_ONCE", 0)
    answer = client.put(FILE, content=CONTENT)
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    arrivals = Arrivals()
    monkeypatch.setattr(bodies, "_AT_ONCE", 1)
    with arrivals.one():
        pass
    with arrivals.one():
        pass


@pytest.mark.parametrize("path", ["PUT " + FILE, "POST /api/v1/uploads"])
def test_a_body_that_does_not_come_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Neither one that never comes, nor one that comes byte by byte."""
    monkeypatch.setattr(bodies, "GRACE", 0.5)
    head = f"{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n\r\n".encode()
    with control_server() as server, server.serving(tmp_path):
        address = server.url.removeprefix("http://").split(":")
        for sends_more in (False, True):
            with socket.create_connection((address[0], int(address[1])), timeout=0.05) as client:
                client.sendall(head)
                assert until_answered(client, sends_more=sends_more).startswith(b"HTTP/1.1 408")
    assert not list(tmp_path.rglob(".tmp-*"))


def until_answered(client: socket.socket, *, sends_more: bool) -> bytes:
    def answered() -> bytes | None:
        if sends_more:
            client.sendall(b"x")
        try:
            return client.recv(1000)
        except TimeoutError:
            return None

    return wait_until(answered, seconds=20)


def test_an_upload_goes_on_after_a_cut_and_a_restart_of_the_server(home: Home) -> None:
    """A client is cut off in the middle of a piece; what had arrived of it is kept."""
    token = home.token("submitter")
    first = home.serve("--no-controller")
    with first.client(token) as client:
        upload = begun(client)
        host, port = first.url.removeprefix("http://").split(":")
        head = (
            f"PATCH {upload} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
            f"Upload-Offset: 0\r\nContent-Length: {len(CONTENT)}\r\n\r\n"
        ).encode()
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(head + CONTENT[:2_000_000])
            wait_until(lambda: client.get(upload).json()["offset"] > 0)
            busy = append(client, upload, 0, CONTENT)
            assert busy.json()["code"] in {"upload_in_progress", "wrong_offset"}
        wait_until(lambda: client.get(upload).json()["offset"] == 2_000_000)
    first.process.kill()
    first.process.wait(60)
    second = home.serve("--no-controller")
    with second.client(token) as client:
        assert begun(client) == upload
        assert append(client, upload, 2_000_000, CONTENT[2_000_000:]).status_code == 200
        assert client.get(FILE).content == CONTENT


def test_a_full_disk_keeps_nothing_that_is_not_whole(
    home: Home, client: httpx2.Client, stores: Stores
) -> None:
    with small_disk("4m") as disk:
        home.settings.uploads.symlink_to(disk.folder)
        upload = begun(client)
        assert append(client, upload, 0, CONTENT[:1_500_000]).status_code == 200
        disk.fill()
        full = append(client, upload, 1_500_000, CONTENT[1_500_000:])
        assert (full.status_code, full.json()["code"]) == (503, "disk_full")
        one_piece = client.put(FILE, content=CONTENT)
        assert (one_piece.status_code, one_piece.json()["code"]) == (503, "disk_full")
        assert not stores.artifacts.exists(DIGEST)
        disk.make_room()
        there = client.get(upload).json()["offset"]
        assert append(client, upload, there, CONTENT[there:]).status_code == 200
        assert stores.artifacts.get(DIGEST) == CONTENT
