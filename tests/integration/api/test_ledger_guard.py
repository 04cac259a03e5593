"""Calls of the ledger over HTTP that say what their caller may not, or what no ledger can keep."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import httpx2
import pytest
from tests.integration.api.conftest import Home
from tests.integration.api.test_ledger_calls import called

from fairlead.records import Deployment, Revision, Study
from fairlead.server.auth import Role, add_token

Clients = Callable[..., httpx2.Client]
Client = Callable[[Role], httpx2.Client]


@pytest.fixture
def client(home: Home, in_process: Clients) -> Client:
    return lambda role: in_process(add_token(home.settings.tokens, f"a-{role}", role=role))


def known(home: Home) -> Study:
    with home.stores() as stores:
        return stores.ledger.studies.get("sums")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"spec": "{junk"}, "spec"),
        ({"spec": "{}"}, "spec.name"),
        ({"name": "forged"}, "its spec's 'sums'"),
        ({"id": "zz3"}, "16 hexadecimal digits"),
        ({"id": "../../x"}, "16 hexadecimal digits"),
        ({"size": -1}, "must have 1 to"),
    ],
    ids=repr,
)
def test_a_study_says_what_its_spec_says(
    home: Home, client: Client, change: dict[str, str | int], said: str
) -> None:
    study = replace(known(home), id="0123456789abcdef")
    submitter = client("submitter")
    refused = called(submitter, "studies/open", {"study": asdict(study) | change})
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid")
    assert said in refused.json()["detail"]
    assert called(submitter, "studies/open", {"study": asdict(study)}).status_code == 200


def test_a_study_under_an_id_that_is_taken_is_refused(home: Home, client: Client) -> None:
    study = replace(known(home), table="7" * 64)
    refused = called(client("submitter"), "studies/open", {"study": asdict(study)})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


def test_a_run_has_a_spec(home: Home, client: Client) -> None:
    run = {"id": "", "study": known(home).id, "spec": "{junk", "deploy": False}
    refused = called(client("submitter"), "runs/open", {"run": run})
    assert refused.status_code == 400
    assert "runs/open: spec" in refused.json()["detail"]


def test_a_run_is_of_the_data_and_the_search_of_its_study(home: Home, client: Client) -> None:
    study, submitter = known(home), client("submitter")
    run = {"id": "", "study": study.id, "deploy": False}
    spec = json.loads(study.spec)
    for section, change in (("data", {"source": "titanic"}), ("search", {"folds": 7})):
        other = json.dumps({**spec, section: {**spec[section], **change}})
        refused = called(submitter, "runs/open", {"run": run | {"spec": other}})
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
        assert "other data or another search" in refused.json()["detail"]
    mine = json.dumps({**spec, "name": "mine", "promote": {"when": "never"}})
    assert called(submitter, "runs/open", {"run": run | {"spec": mine}}).status_code == 200


def test_a_schedule_that_would_stop_the_controller_is_refused(client: Client) -> None:
    schedule = {"model": "sums", "every": 0.0}
    refused = called(client("submitter"), "schedules/put", {"schedule": schedule})
    assert refused.status_code == 400
    assert "1 minute to 366 days" in refused.json()["detail"]


def test_a_worker_finds_a_study_by_its_whole_id_alone(home: Home, client: Client) -> None:
    study, worker = known(home), client("worker")
    assert called(worker, "studies/get", {"study": study.id}).json()["id"] == study.id
    for words in (study.id[:1], study.id[:15], "sums", "", "smus"):
        refused = called(worker, "studies/get", {"study": words})
        assert refused.status_code == 404
        assert "sums'" not in refused.json()["detail"].replace(repr(words), "")
    assert called(client("viewer"), "studies/get", {"study": "sums"}).status_code == 200


def test_only_a_server_says_how_a_deployment_goes(home: Home, client: Client) -> None:
    with home.stores() as stores:
        ledger = stores.ledger
        ledger.routes.revise(Revision(model="sums", name="", version=1))
        ledger.deployments.begin(Deployment(model="sums", number=0, revision="v1", steps=(100,)))
        ledger.deployments.take("one", lease=60)
        deployment = ledger.deployments.get("sums")
        promoter = client("promoter")
        for change in (
            {"server": None, "state": "done", "step": 0},
            {"server": None, "state": "failed"},
            {"server": None, "step": 0},
            {"state": "undone"},
            {},
        ):
            said = {"deployment": asdict(deployment) | change}
            assert called(promoter, "deployments/advance", said).status_code == 400, change
            route = {
                "model": "sums",
                "number": 0,
                "traffic": {"v1": 100},
                "kind": "set",
                "why": "",
                "details": "d" * 64,
            }
            changed = {"route": route, "previous": None, **said}
            assert called(promoter, "routes/change", changed).status_code == 400, change
        assert ledger.deployments.get("sums") == deployment
        undone = asdict(replace(deployment, server=None, state="undone"))
        assert called(promoter, "deployments/advance", {"deployment": undone}).status_code == 200
        assert ledger.deployments.get("sums").state == "undone"


@pytest.mark.parametrize(
    ("path", "arguments", "named"),
    [
        ("tasks/claim", {"worker": "a\0b", "lease": 5.0}, "worker"),
        ("workers/gone", {"worker": "\0"}, "worker"),
        ("versions/all", {"model": "a\0"}, "model"),
        ("schedules/put", {"schedule": {"model": "a\0", "every": 60.0}}, "schedule"),
        ("studies/prioritize", {"study": "s", "priority": 10**25}, "priority"),
        ("studies/results", {"study": "s", "after": 10**19}, "after"),
        ("studies/page", {"after": None, "limit": 10**30}, "limit"),
        ("studies/page", {"after": None, "limit": 0}, "limit"),
        ("studies/trials_page", {"study": "s", "after": None, "limit": -1}, "limit"),
        ("runs/page", {"after": None, "limit": 2**63 - 1}, "limit"),
        ("tasks/refit", {"study": "s", "trial": 10**25}, "trial"),
        ("autoscaling/decisions", {"limit": 10**20}, "limit"),
    ],
)
def test_what_no_database_takes_is_refused_with_the_arguments_name(
    in_process: Clients, path: str, arguments: dict[str, Any], named: str
) -> None:
    refused = called(in_process(), path, arguments)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid")
    assert refused.json()["detail"].startswith(f"{path}: {named}")
    assert len(refused.json()["detail"].splitlines()) == 1


def test_texts_that_only_look_so_are_taken(in_process: Clients) -> None:
    digits = "1234567890123456789012345"
    for name in ("a\\u0000b", digits, "1e5"):
        assert called(in_process(), "versions/all", {"model": name}).json() == []
