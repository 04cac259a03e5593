"""Who may ask: every route but two wants a token, with a role that may."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx2
import pytest
from fastapi.routing import APIRoute
from tests.integration.api.conftest import Home

from fairlead.api.access import MAY, OPEN, Failures, needed
from fairlead.api.routes import ROUTERS
from fairlead.errors import Invalid
from fairlead.server.auth import add_token, read_tokens, remove_token, serving_tokens

Clients = Callable[..., httpx2.Client]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def routes() -> Iterator[tuple[str, str]]:
    """Every route with each of its methods, as it is asked for."""
    for route in (each for router in ROUTERS for each in router.routes):
        assert isinstance(route, APIRoute)
        path = route.path.format(
            run="sums",
            study="sums",
            model="sums",
            part="studies",
            name="pause",
            digest="a" * 64,
            number=1,
            upload="b" * 32,
        )
        for method in route.methods:
            yield method, path


def closed() -> list[tuple[str, str]]:
    return [(method, path) for method, path in routes() if path not in OPEN]


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures are answered at once; how long they wait is another test's."""
    monkeypatch.setattr(Failures, "delay", lambda *_: 0.0)


def test_the_document_lists_the_routes_that_there_are(in_process: Clients) -> None:
    paths = in_process().get("/openapi.json").json()["paths"]
    listed = {(method.upper(), path) for path, of in paths.items() for method in of}
    there = {
        (method, route.path)
        for route in (each for router in ROUTERS for each in router.routes)
        if isinstance(route, APIRoute)
        for method in route.methods
    }
    assert listed == there
    assert len(closed()) >= 16


def test_without_a_token_every_route_but_two_is_refused(
    home: Home, instant: None, in_process: Clients
) -> None:
    add_token(home.settings.tokens, "someone", role="viewer")
    client = in_process()
    every = {path for _, path in routes()} | {"/api/v1", "/", "/docs", "/nothing"}
    for path in every:
        for method in METHODS:
            answer = client.request(method, path)
            if (method, path) == ("GET", "/api/v1/health"):
                assert answer.status_code == 200
                continue
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"].startswith("Bearer")
    assert client.get("/openapi.json").status_code == 200


@pytest.mark.parametrize("role", MAY)
def test_a_role_that_may_not_is_refused_and_one_that_may_is_not(
    home: Home, in_process: Clients, role: str
) -> None:
    client = in_process(add_token(home.settings.tokens, "someone", role=role))  # type: ignore[arg-type] # one of them
    refused = set()
    for method, path in closed():
        asked = {"params": {"study": "none"}, "json": {"odd": 1}}  # /events has no end otherwise
        status = client.request(method, path, **asked).status_code
        if status == 403:
            refused.add((method, path))
        else:
            assert status in {200, 400, 404, 409, 422}, (method, path)
    wanted = {
        (method, path)
        for method, path in closed()
        if needed(method, path) not in MAY[role]  # type: ignore[index] # one of them
    }
    assert refused == wanted
    assert client.put("/api/v1/runs").status_code == (405 if role == "admin" else 403)


def test_what_each_role_may_do() -> None:
    posts = {
        path.rsplit("/", 1)[1]: needed(m, path)
        for m, path in closed()
        if m == "POST" and "/ledger/" not in path  # test_ledger_calls.py has these
    }
    assert posts == {
        "cancel": "run",
        "pause": "run",
        "resume": "run",
        "adjust": "run",
        "promote": "promote",
        "rollback": "promote",
        "uploads": "store",
        "runs": "run",
        "retrain": "run",
        "deployments": "promote",
        "route": "promote",
        "undo": "promote",
        "undeploy": "promote",
    }
    others = {(m, path.split("/")[3]): needed(m, path) for m, path in closed() if m != "POST"}
    files = {each: need for each, need in others.items() if each[1] in {"artifacts", "uploads"}}
    assert files == {
        ("GET", "artifacts"): "look",
        ("HEAD", "artifacts"): "look",
        ("PUT", "artifacts"): "store",
        ("GET", "uploads"): "store",
        ("PATCH", "uploads"): "store",
        ("DELETE", "uploads"): "store",
    }
    assert {(each[0], need) for each, need in others.items() if each not in files} == {
        ("GET", "read")
    }
    assert needed("DELETE", "/api/v1/artifacts/x") == needed("PUT", "/api/v1/runs") == "administer"


def test_a_revoked_or_expired_token_is_refused_at_once(
    home: Home, instant: None, in_process: Clients
) -> None:
    file = home.settings.tokens
    add_token(file, "another", role="admin")
    token = add_token(file, "someone", role="viewer")
    brief = add_token(file, "brief", role="viewer", expires=time.time() + 1000)
    past = add_token(file, "past", role="viewer", expires=time.time() - 1)
    client = in_process(token)
    ask = "/api/v1/runs"
    assert client.get(ask).status_code == 200
    assert client.get(ask, headers={"Authorization": f"bearer {brief}"}).status_code == 200
    assert client.get(ask, headers={"Authorization": f"Bearer {past}"}).status_code == 401
    assert client.get(ask, headers={"Authorization": f"Bearer {token}x"}).status_code == 401
    assert client.get(ask, headers={"Authorization": token}).status_code == 401
    remove_token(file, "someone")
    assert client.get(ask).status_code == 401


def test_a_token_is_for_serving_or_for_the_control_api(
    home: Home, instant: None, in_process: Clients
) -> None:
    file = home.settings.tokens
    serving = add_token(file, "shop")
    assert in_process().get("/api/v1/runs").status_code == 200  # none has a role: this machine
    add_token(file, "someone", role="viewer")
    add_token(file, "past", expires=1.0)
    assert in_process(serving).get("/api/v1/runs").status_code == 401
    known = {each.name: each for each in read_tokens(file)}
    assert serving_tokens(read_tokens(file), time.time()) == (known["shop"].sha256,)
    assert serving not in file.read_text()


def test_without_tokens_only_this_machine_is_answered(in_process: Clients) -> None:
    client = in_process()
    ask = "/api/v1/runs"
    assert client.get(ask, headers={"Origin": "http://localhost:8000"}).status_code == 200
    for odd in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        for path in (ask, "/api/v1/health", "/openapi.json"):
            answer = client.get(path, headers=odd)
            assert (answer.status_code, answer.json()["code"]) == (403, "foreign_host")
        assert client.post("/api/v1/runs/sums/pause", headers=odd).status_code == 403


def test_beyond_this_machine_nothing_is_answered_without_tokens(
    home: Home, instant: None, in_process: Clients
) -> None:
    assert in_process(private=False).get("/api/v1/runs").status_code == 401
    from fairlead.api.process import ControlServer

    server = ControlServer(settings=home.settings, host="0.0.0.0", port=0, on_bound=print)
    with pytest.raises(Invalid) as refused:
        server.run()
    assert refused.value.code == "token_required"


def test_failures_are_answered_later_and_later_but_not_forever() -> None:
    failures = Failures()
    waits = [failures.delay("10.0.0.1", float(at)) for at in range(12)]
    assert waits[:3] == [0.1, 0.2, 0.4]
    assert waits == sorted(waits)
    assert waits[-1] == 3.0
    assert failures.delay("10.0.0.2", 12.0) == 0.1
    assert failures.delay("10.0.0.1", 1000.0) == 0.1


def test_a_refused_token_waits(home: Home, in_process: Clients) -> None:
    add_token(home.settings.tokens, "someone", role="viewer")
    client = in_process("wrong")
    began = time.monotonic()
    for _ in range(3):
        assert client.get("/api/v1/runs").status_code == 401
    assert time.monotonic() - began >= 0.7


def test_a_method_that_a_path_has_not_is_told_those_that_it_has(in_process: Clients) -> None:
    client = in_process()
    for path, methods in (
        ("/api/v1/runs", "GET, POST"),
        (f"/api/v1/artifacts/{'a' * 64}", "GET, HEAD, PUT"),
        (f"/api/v1/uploads/{'b' * 32}", "DELETE, GET, PATCH"),
    ):
        answer = client.options(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, methods)
