"""Who may ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fairlead.serving.http.guard import hashed
from fairlead.serving.settings import ProcessSettings
from tests.integration.serving.rig import Process, Trained, request, rows_of, started

TOKEN = "a-token-that-nobody-guesses"
PREDICT = "/models/houses:predict"


@pytest.fixture(scope="module")
def guarded(trained: Trained) -> Iterator[Process]:
    hashes = (hashed("another"), hashed(TOKEN))
    settings = ProcessSettings(listen=(), channel=0, artifacts="", tokens=hashes)
    with started(trained, settings) as process:
        process.plan(trained.held("houses"))
        process.followed()
        yield process


@pytest.mark.parametrize(
    "path", ["/v2", "/", "/docs", "/metrics", "/openapi.json", "/v2/models/houses", "/nothing"]
)
@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer \xe9"]
)
def test_without_a_good_token_nothing_is_told(
    guarded: Process, path: str, given: str | None
) -> None:
    headers = {} if given is None else {"Authorization": given}
    reply = guarded.ask("GET", path, headers=headers)
    assert reply.status == 401
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert "houses" not in reply.error


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/v2/health/live", "/v2/health/ready"])
def test_whether_it_lives_is_told_to_everybody(guarded: Process, path: str) -> None:
    assert guarded.ask("GET", path).status == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_good_token_lets_in_by_whatever_name(
    guarded: Process, trained: Trained, scheme: str
) -> None:
    body = rows_of(trained.golden("houses")[0][:1])
    headers = {"Authorization": f"{scheme} {TOKEN}", "Host": "models.example"}
    assert guarded.ask("POST", PREDICT, body, headers).status == 200


def test_no_token_is_logged(guarded: Process) -> None:
    guarded.ask("GET", "/v2", headers={"Authorization": "Bearer not-this-one-either"})
    assert guarded.ask("GET", "/v2", headers={"Authorization": f"Bearer {TOKEN}"}).status == 200
    assert TOKEN not in guarded.errors()
    assert "not-this-one-either" not in guarded.errors()


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:1",
        "127.0.0.1:8080",
        "127.9.9.9",
        "[::1]:80",
        "a.localhost",
        "localhost.",
    ],
)
def test_this_machine_may_be_called_by_its_own_names(process: Process, host: str) -> None:
    (answered,) = process.raw(request("/v2", b"", "Connection: close", method="GET", host=host))
    assert answered.status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "",
        "[::1",
        "localhost@evil.example",
        "evil.example:80\t",
        "x" * 5_000,
        "\xff",
    ],
)
def test_a_page_that_gave_us_another_name_is_kept_out(process: Process, host: str) -> None:
    (answered,) = process.raw(request("/v2", b"", "Connection: close", method="GET", host=host))
    assert answered.status == 403
    assert len(answered.error) < 600


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:3000", 200),
        ("http://127.0.0.1", 200),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://localhost.evil.example", 403),
    ],
)
def test_a_page_of_another_origin_is_kept_out(process: Process, origin: str, status: int) -> None:
    assert process.ask("GET", "/v2", headers={"Origin": origin}).status == status


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://localhost:80/v2", "evil.example", 200),
        ("http://127.0.0.1/v2?x=1", "localhost", 200),
        ("http://evil.example/v2", "localhost", 403),
        ("HTTP://EVIL.example:80/v2", "localhost", 403),
        ("http://localhost@evil.example/v2", "localhost", 403),
        ("http://localhost.evil.example/v2", "localhost", 403),
        ("//evil.example/v2", "localhost", 404),
    ],
)
def test_the_host_that_the_target_names_is_the_one_that_counts(
    process: Process, target: str, host: str, status: int
) -> None:
    asked = request(target, b"", "Connection: close", method="GET", host=host)
    (answered,) = process.raw(asked)
    assert answered.status == status
