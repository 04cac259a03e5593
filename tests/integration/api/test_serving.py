"""What is in service is changed and looked at over HTTP."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest
from tests.integration.api.conftest import Home

from fairlead.records import Autoscaler, ScalingDecision
from fairlead.server.auth import add_token
from fairlead.stores import Stores

Clients = Callable[..., httpx2.Client]
MODEL = "/api/v1/models/sums"


@pytest.fixture
def client(home: Home, in_process: Clients) -> httpx2.Client:
    return in_process(add_token(home.settings.tokens, "ann", role="promoter"))


def test_a_deployment_is_begun_once_under_its_key(client: httpx2.Client, stores: Stores) -> None:
    key = {"Idempotency-Key": "k"}
    body = {"version": 1, "steps": [50, 100]}  # of which the first revision of a model takes all
    begun = client.post(f"{MODEL}/deployments", json=body, headers=key)
    assert begun.status_code == 201, begun.text
    number = begun.json()["deployment"]["number"]
    assert begun.headers["location"] == f"{MODEL}/deployments/{number}"
    again = client.post(f"{MODEL}/deployments", json=body, headers=key)
    assert (again.status_code, again.content) == (201, begun.content)
    found = client.get(begun.headers["location"])
    assert (found.json()["state"], found.json()["steps"]) == ("running", [100])
    unchanged = {"If-None-Match": found.headers["etag"]}
    assert client.get(begun.headers["location"], headers=unchanged).status_code == 304
    assert stores.ledger.deployments.author("sums", number) == "ann"
    another = client.post(f"{MODEL}/deployments", json={})
    assert another.json()["deployment"]["number"] == number + 1
    assert client.get(begun.headers["location"]).json()["state"] == "superseded"


def test_a_deployment_that_has_no_traffic_yet_is_undone(client: httpx2.Client) -> None:
    client.post(f"{MODEL}/deployments", json={})
    undone = client.post(f"{MODEL}/undo", json={"why": "too soon"})
    assert undone.status_code == 200, undone.text
    assert undone.json()["route"] is None
    assert undone.json()["deployment"]["state"] == "undone"
    events = client.get(f"{MODEL}/serving-events").json()["events"]
    assert "too soon (by ann)" in events[-1]["text"]


def test_traffic_is_set_and_a_model_taken_out_of_service(home: Home, client: httpx2.Client) -> None:
    home.done("run", "sums.yaml", "--workers", "1", "--deploy")
    live = client.get(f"{MODEL}/route").json()["route"]["traffic"]
    kept = client.post(f"{MODEL}/route", json={"traffic": live, "why": "agreed"})
    assert kept.status_code == 200, kept.text
    assert kept.json()["why"] == "agreed (by ann)"
    out = client.post(f"{MODEL}/undeploy", json={"why": "too low"})
    assert (out.status_code, out.json()["traffic"]) == (200, {})
    back = client.post(f"{MODEL}/undo", json={"why": "better after all"})
    assert back.json()["route"]["traffic"] == live
    history = client.get(f"{MODEL}/serving-events").json()
    assert [each["traffic"] for each in history["routes"]][-3:] == [live, {}, live]


def test_traffic_is_changed_from_the_route_that_the_client_knows_alone(
    home: Home, client: httpx2.Client
) -> None:
    home.done("run", "sums.yaml", "--workers", "1", "--deploy")
    known = client.get(f"{MODEL}/route").json()["route"]
    asked = {"traffic": known["traffic"], "why": "agreed"}
    changed = client.post(f"{MODEL}/route", json={**asked, "previous": known["number"]})
    assert changed.status_code == 200, changed.text
    for change, body in (("route", asked), ("undo", {"why": "x"}), ("undeploy", {"why": "x"})):
        late = client.post(f"{MODEL}/{change}", json={**body, "previous": known["number"]})
        assert (late.status_code, late.json()["code"]) == (409, "conflict"), change
        assert f"in force is {changed.json()['number']}, not" in late.json()["detail"]
    assert client.get(f"{MODEL}/route").json()["route"] == changed.json()
    now = {"why": "too low", "previous": changed.json()["number"]}
    assert client.post(f"{MODEL}/undeploy", json=now).json()["traffic"] == {}


@pytest.mark.parametrize(
    ("ask", "body", "status"),
    [
        ("deployments", {"version": 9}, 404),
        ("deployments", {"steps": []}, 422),
        ("deployments", {"odd": 1}, 422),
        ("route", {"traffic": {"v1": 100}, "why": "x"}, 404),
        ("route", {"traffic": {"v1": 101}, "why": "x"}, 422),
        ("route", {"traffic": {"v1": 100}}, 422),
        ("undo", {"why": "x"}, 404),
        ("undo", {"why": ""}, 422),
        ("undeploy", {"why": "x"}, 404),
    ],
)
def test_what_cannot_be_is_refused(
    client: httpx2.Client, ask: str, body: dict[str, object], status: int
) -> None:
    assert client.post(f"{MODEL}/{ask}", json=body).status_code == status
    assert client.post(f"/api/v1/models/none/{ask}", json=body).status_code in {404, 422}
    assert client.get(f"{MODEL}/deployments/1").status_code == 404


def test_the_decisions_of_autoscalers_are_listed(client: httpx2.Client, stores: Stores) -> None:
    assert client.get("/api/v1/autoscaling/decisions").json() == {"items": []}
    stores.ledger.autoscaling.take(Autoscaler(name="local", holder="h"), lease=60.0)
    made = ScalingDecision(autoscaler="local", cause="work", reason="3 tasks wait", wanted=2)
    stores.ledger.autoscaling.decided(made, holder="h")
    (found,) = client.get("/api/v1/autoscaling/decisions?limit=1").json()["items"]
    assert (found["reason"], found["wanted"]) == ("3 tasks wait", 2)
