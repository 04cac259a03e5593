"""A POST under an Idempotency-Key is carried out once, and asked again it is answered the same."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from tests.integration.api.conftest import Home
from tests.support.waiting import wait_until

from fairlead.errors import Failed
from fairlead.registry.registry import Registry
from fairlead.server.auth import add_token, remove_token
from fairlead.stores import Stores

Clients = Callable[..., httpx2.Client]
PROMOTE = "/api/v1/models/sums/promote"
BODY = {"version": 1, "previous": 2, "why": "agreed"}
KEY = {"Idempotency-Key": "k-1"}


@pytest.fixture
def client(home: Home, in_process: Clients) -> httpx2.Client:
    return in_process(add_token(home.settings.tokens, "ann", role="admin"))


def test_asked_again_it_is_answered_as_before_and_changes_nothing(
    client: httpx2.Client, stores: Stores
) -> None:
    first = client.post(PROMOTE, json=BODY, headers=KEY)
    assert first.status_code == 200
    assert "idempotency-replayed" not in first.headers
    quoted = {"Idempotency-Key": '"k-1"'}
    for headers in (KEY, quoted):
        again = client.post(PROMOTE, json=BODY, headers=headers)
        assert (again.status_code, again.content) == (200, first.content)
        assert again.headers["content-type"] == first.headers["content-type"]
        assert again.headers["idempotency-replayed"] == "true"
    assert len(stores.ledger.versions.history("sums")) == 3


def test_a_key_is_for_one_request_of_one_caller(
    home: Home, in_process: Clients, client: httpx2.Client
) -> None:
    assert client.post(PROMOTE, json=BODY, headers=KEY).status_code == 200
    for path, body in (
        (PROMOTE, {**BODY, "why": "another"}),
        ("/api/v1/models/sums/rollback", BODY),
        (f"{PROMOTE}?x=1", BODY),
    ):
        refused = client.post(path, json=body, headers=KEY)
        assert (refused.status_code, refused.json()["code"]) == (409, "idempotency_key_reused")
    bob = in_process(add_token(home.settings.tokens, "bob", role="admin"))
    theirs = bob.post(PROMOTE, json=BODY, headers=KEY)
    assert theirs.json() == {"promotion": None}
    remove_token(home.settings.tokens, "ann")
    later = in_process(add_token(home.settings.tokens, "ann", role="admin"))
    assert later.post(PROMOTE, json=BODY, headers=KEY).json() == {"promotion": None}


def test_what_was_refused_may_be_asked_again_under_the_key(client: httpx2.Client) -> None:
    wrong = {"version": 2, "previous": 1, "why": "back"}
    refused = client.post("/api/v1/models/none/promote", json=wrong, headers=KEY)
    assert refused.status_code == 404
    assert client.post(PROMOTE, json=BODY, headers=KEY).status_code == 200


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\u00e9"])
def test_a_key_is_a_short_word(client: httpx2.Client, key: str) -> None:
    answer = client.post(PROMOTE, json=BODY, headers={"Idempotency-Key": key.encode("latin-1")})  # type: ignore[dict-item] # as bytes
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_while_it_is_carried_out_asking_again_is_refused(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    fit = Registry.refuse_unfit

    def held(self: Registry, *args: object, **how: object) -> None:
        begun.set()
        assert go_on.wait(60)
        fit(self, *args, **how)  # type: ignore[arg-type] # as it was called

    monkeypatch.setattr(Registry, "refuse_unfit", held)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(client.post, PROMOTE, json=BODY, headers=KEY)
        assert begun.wait(60)
        refused = client.post(PROMOTE, json=BODY, headers=KEY)
        assert (refused.status_code, refused.json()["code"]) == (409, "request_in_progress")
        assert refused.headers["retry-after"] == "1"
        go_on.set()
        assert first.result().status_code == 200
    again = client.post(PROMOTE, json=BODY, headers=KEY)
    assert again.content == first.result().content


def test_what_fails_after_the_commit_is_answered_as_it_was_committed(
    client: httpx2.Client, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> None:
        raise Failed("the mirror cannot be started")

    with monkeypatch.context() as patched:
        patched.setattr("fairlead.control.models.start_mirror", fails)
        assert client.post(PROMOTE, json=BODY, headers=KEY).status_code == 422
    again = client.post(PROMOTE, json=BODY, headers=KEY)
    assert again.status_code == 200
    (*_, last) = stores.ledger.versions.history("sums")
    assert again.json()["promotion"]["number"] == last.number == 3


def test_a_server_that_is_killed_between_commit_and_answer_has_done_it_once(
    home: Home, stores: Stores
) -> None:
    """It is killed as soon as the ledger has the change; nobody has read its answer by then."""
    token = home.token("promoter")
    served = home.serve("--no-controller")
    host, port = served.url.removeprefix("http://").split(":")
    body = b'{"version": 1, "previous": 2, "why": "agreed"}'
    asked = (
        f"POST {PROMOTE} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
        f"Idempotency-Key: k-1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(asked)
        wait_until(lambda: len(stores.ledger.versions.history("sums")) == 3, every=0.001)
        served.process.kill()
        served.process.wait(60)
    second = home.serve("--no-controller")
    with second.client(token) as client:
        headers = {**KEY, "Content-Type": "application/json"}
        again = client.post(PROMOTE, content=body, headers=headers)
        assert again.status_code == 200
        assert again.headers["idempotency-replayed"] == "true"
        assert again.json()["promotion"]["version"] == 1
    assert len(stores.ledger.versions.history("sums")) == 3
