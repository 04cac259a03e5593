"""What the control API shows is what the commands' --json shows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from tests.contract.fits_contract import progress
from tests.integration.api.conftest import Home

from fairlead.records import NewTask, Run, Schedule, Study, Trial
from fairlead.stores import Stores

Clients = Callable[..., httpx2.Client]


@pytest.fixture
def stores(home: Home) -> Iterator[Stores]:
    with home.stores() as stores:
        yield stores


def everything(client: httpx2.Client, path: str, limit: int) -> list[Any]:
    """The items of all pages."""
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        answer = client.get(path, params={"limit": limit, **cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= limit
        found += page["items"]
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


@pytest.mark.parametrize("listed", ["runs", "studies", "models", "schedules"])
@pytest.mark.parametrize("limit", [1, 2, 1000])
def test_a_list_is_what_the_command_prints(
    home: Home, in_process: Clients, listed: str, limit: int
) -> None:
    with home.stores() as stores:
        for model in ("sums", "other"):
            stores.ledger.schedules.put(Schedule(model=model, every=3600.0))
    assert everything(in_process(), f"/api/v1/{listed}", limit) == json.loads(
        home.done(listed, "--json")
    )


def test_one_thing_is_what_the_command_prints(home: Home, in_process: Clients) -> None:
    client = in_process()
    asked = {
        "/api/v1/models/sums/history": ("history", "sums"),
        "/api/v1/models/sums/route": ("route", "sums"),
        "/api/v1/fleet": ("fleet",),
    }
    for path, command in asked.items():
        shown, printed = client.get(path).json(), json.loads(home.done(*command, "--json"))
        assert {**shown, "now": 0} == {**printed, "now": 0}
    runs = json.loads(home.done("runs", "--json"))
    assert client.get(f"/api/v1/runs/{runs[1]['run']['id']}").json() == runs[1]
    model = client.get("/api/v1/models/sums").json()
    assert (model["champion"], [each["number"] for each in model["versions"]]) == (2, [1, 2])
    study = json.loads(home.done("studies", "--json"))[0]
    shown = client.get(f"/api/v1/studies/{study['study'][:9]}").json()
    assert {**shown, **study} == shown
    trials = client.get("/api/v1/studies/sums/trials").json()["items"]
    assert trials == json.loads(home.done("trials", "sums", "--json"))


def test_the_trials_of_a_large_study_come_in_pages(stores: Stores, in_process: Clients) -> None:
    study = Study(id="5" * 64, name="many", spec=_spec(stores), table="7" * 64, size=250)
    stores.ledger.studies.open(study)
    stores.ledger.studies.open(replace(study, id="6" * 64))
    tasks = [
        NewTask(kind="trials", trials=(Trial(number=number, family="f", params={"a": 0.5}),))
        for number in range(250)
    ]
    stores.ledger.tasks.add(study.id, tasks)
    claim = stores.ledger.tasks.claim("w", lease=60, study=study.id)
    assert claim is not None
    found = everything(in_process(), f"/api/v1/studies/{study.id}/trials", 99)
    assert [each["number"] for each in found] == list(range(250))
    assert [each["state"] for each in found[:2]] == ["running", "waiting"]


def _spec(stores: Stores) -> str:
    return stores.ledger.studies.all()[0].spec


def test_the_history_of_a_study_comes_in_pages(stores: Stores, in_process: Clients) -> None:
    study = stores.ledger.studies.get("sums")
    found = everything(in_process(), "/api/v1/studies/sums/events", 3)
    assert [each["id"] for each in found] == sorted(each["id"] for each in found)
    assert [each["kind"] for each in found] == [
        event.kind for event in stores.ledger.studies.events(study.id)
    ]


def test_what_fits_told_comes_in_pages_and_what_they_tell_now_by_run(
    stores: Stores, in_process: Clients
) -> None:
    study = Study(id="5" * 64, name="deep", spec=_spec(stores), table="7" * 64, size=2)
    stores.ledger.studies.open(study)
    run = stores.ledger.runs.open(Run(id="", study=study.id, spec=study.spec))
    trials = tuple(Trial(number=number, family="f", params={"a": 0.5}) for number in range(2))
    stores.ledger.tasks.add(study.id, [NewTask(kind="trials", trials=trials)])
    claim = stores.ledger.tasks.claim("w", lease=60, study=study.id)
    assert claim is not None
    for step in range(7):
        checkpoint = "c" * 64 if step == 6 else None
        stores.ledger.fits.report(claim, progress(step % 2, step, checkpoint))
    client = in_process()
    found = everything(client, f"/api/v1/studies/{study.id}/fits", 3)
    assert [each["progress"]["step"] for each in found] == list(range(7))
    of_one = client.get(f"/api/v1/studies/{study.id}/fits?trial=1").json()
    assert [each["progress"]["step"] for each in of_one["items"]] == [1, 3, 5]
    (now,) = client.get(f"/api/v1/runs/{run.id}/fits").json()["items"]
    assert now == found[-1]
    assert (now["attempt"], now["checkpointed"]) == (1, now["at"])
    stores.ledger.tasks.release(claim, "drained")
    assert client.get(f"/api/v1/runs/{run.id}/fits").json() == {"items": [], "next": None}


@pytest.mark.parametrize("path", ["runs/sums", "studies/sums", "models/sums"])
def test_what_has_not_changed_is_not_sent_again(
    home: Home, stores: Stores, in_process: Clients, path: str
) -> None:
    client = in_process()
    tag = client.get(f"/api/v1/{path}").headers["etag"]
    again = client.get(f"/api/v1/{path}", headers={"If-None-Match": f'"other", W/{tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    stores.ledger.studies.pause(stores.ledger.studies.get("sums").id)
    home.done("rollback", "sums", "--why", "a test")
    changed = client.get(f"/api/v1/{path}", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("studies/sumz", 404, "not_found"),
        ("runs/none", 404, "not_found"),
        ("models/sumz", 404, "not_found"),
        ("models/none/route", 404, "not_found"),
        ("studies/none/trials", 404, "not_found"),
        ("nothing", 404, "not_found"),
        ("runs?limit=1001", 422, "invalid"),
        ("runs?limit=x", 422, "invalid"),
        ("runs?cursor=MQ", 400, "invalid"),
        ("runs?cursor=!", 400, "invalid"),
        ("studies/sums/trials?cursor=WzEsLTFd", 400, "invalid"),
        ("events", 422, "invalid"),
        ("events?study=none", 404, "not_found"),
    ],
)
def test_a_wrong_request_is_a_problem_document(
    in_process: Clients, path: str, status: int, code: str
) -> None:
    answer = in_process().get(f"/api/v1/{path}")
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["type"] == f"urn:fairlead:error:{code}"
    assert problem["title"]
    assert problem["detail"]


def test_next_steps_that_are_routes_are_links(in_process: Clients) -> None:
    problem = in_process().get("/api/v1/runs/none").json()
    assert problem["next_steps"] == [
        {"method": "GET", "href": "/api/v1/runs", "effect": "lists them"}
    ]


def test_a_fault_of_ours_says_nothing_of_this_machine(
    home: Home, in_process: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    client = in_process()
    (home.settings.home / "ledger.db").write_bytes(b"no database" * 1000)
    answer = client.get("/api/v1/runs")
    problem = answer.json()
    assert answer.status_code in {500, 503}
    assert str(home.folder) not in answer.text
    assert "SELECT" not in answer.text
    assert "Traceback" not in answer.text
    named = problem["detail"].split()[-1]
    assert any(named in record.getMessage() for record in caplog.records)
