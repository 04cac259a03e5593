"""Runs and champions are changed over HTTP, and the history says by whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx2
import pytest
from tests.integration.api.conftest import Home

from fairlead.records import NewTask, Run, Study, Trial
from fairlead.server.auth import add_token
from fairlead.stores import Stores

Clients = Callable[..., httpx2.Client]
STUDY = "5" * 64


@pytest.fixture
def client(home: Home, in_process: Clients) -> httpx2.Client:
    return in_process(add_token(home.settings.tokens, "ann", role="admin"))


@pytest.fixture
def run(stores: Stores) -> Run:
    spec = stores.ledger.studies.get("sums").spec.replace('"name":"sums"', '"name":"more"')
    study = Study(id=STUDY, name="more", spec=spec, table="7" * 64, size=3)
    stores.ledger.studies.open(study)
    trials = [Trial(number=number, family="f", params={}) for number in range(3)]
    stores.ledger.tasks.add(STUDY, [NewTask(kind="trials", trials=(each,)) for each in trials])
    return stores.ledger.runs.open(Run(id="", study=STUDY, spec=spec))


def test_a_run_is_paused_resumed_and_made_urgent(
    client: httpx2.Client, stores: Stores, run: Run
) -> None:
    for _ in range(2):  # asked again, it stays so
        assert client.post(f"/api/v1/runs/{run.id}/pause").json()["id"] == run.id
        assert client.get(f"/api/v1/runs/{run.id}").json()["paused"] is True
    client.post(f"/api/v1/runs/{run.id}/resume")
    assert client.get(f"/api/v1/runs/{run.id}").json()["paused"] is False
    adjusted = client.post(f"/api/v1/runs/{run.id}/adjust", json={"priority": 7})
    assert adjusted.json()["id"] == run.id
    assert client.get("/api/v1/studies/more").json()["priority"] == 7
    said = [(event.kind, event.text) for event in stores.ledger.studies.events(STUDY)]
    assert said[1:] == [
        ("paused", "by ann"),
        ("paused", "by ann"),
        ("resumed", "by ann"),
        ("prioritized", "to 7 by ann"),
    ]


def test_a_run_is_cancelled_once_and_stays_so(client: httpx2.Client, run: Run) -> None:
    for _ in range(2):
        ended = client.post(f"/api/v1/runs/{run.id}/cancel", json={"why": "wrong data"})
        assert ended.status_code == 200
        assert ended.json()["state"] == "cancelled"
        assert ended.json()["reason"] == "wrong data (by ann)"
    for action in ("pause", "resume"):
        refused = client.post(f"/api/v1/runs/{run.id}/{action}")
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    nothing = client.post(f"/api/v1/runs/{run.id}/adjust", json={})
    assert (nothing.status_code, nothing.json()["code"]) == (400, "invalid")


def test_a_champion_is_promoted_where_it_is_the_one_that_was_seen(
    client: httpx2.Client, stores: Stores
) -> None:
    ask = "/api/v1/models/sums/promote"
    body = {"version": 1, "previous": 1, "why": "agreed"}
    refused = client.post(ask, json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert refused.json()["next_steps"][0]["href"] == "/api/v1/models/sums/history"
    changed = client.post(ask, json={**body, "previous": 2})
    assert changed.json()["promotion"]["version"] == 1
    assert changed.json()["promotion"]["why"] == "agreed (by ann)"
    again = client.post(ask, json={**body, "previous": 2})
    assert (again.status_code, again.json()) == (200, {"promotion": None})
    assert client.post(ask, json={**body, "version": 9}).status_code == 404
    assert len(stores.ledger.versions.history("sums")) == 3


def test_a_champion_is_rolled_back_once(client: httpx2.Client) -> None:
    ask = "/api/v1/models/sums/rollback"
    body = {"previous": 2, "why": "too low"}
    changed = client.post(ask, json=body)
    assert changed.json()["promotion"]["version"] == 1
    assert changed.json()["promotion"]["why"] == "too low (by ann)"
    again = client.post(ask, json=body)
    assert again.status_code == 409
    assert client.post("/api/v1/models/none/rollback", json=body).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"version": 1, "why": "x"}',
        b'{"version": "1", "previous": 2, "why": "x"}',
        b'{"version": 1, "previous": 2, "why": ""}',
        b'{"version": 1, "previous": 2, "why": "x", "force": true}',
        b'{"version": 99999999999999999999, "previous": 2, "why": "x"}',
    ],
    ids=["none", "broken", "no-previous", "text", "no-reason", "odd-key", "huge"],
)
def test_a_wrong_body_changes_nothing(client: httpx2.Client, stores: Stores, body: bytes) -> None:
    answer = client.post(
        "/api/v1/models/sums/promote", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid"
    assert len(stores.ledger.versions.history("sums")) == 2


def test_a_large_body_is_refused(client: httpx2.Client) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 1000

    for content in (b"x" * 65_537, parts()):
        answer = client.post("/api/v1/runs/sums/cancel", content=content)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert client.post("/api/v1/runs/sums/cancel", content=b"x" * 65_536).status_code == 422
