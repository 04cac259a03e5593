"""The ledger over HTTP: who may call what, who is said to have asked, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from tests.integration.api.conftest import Home

from fairlead.api.access import MAY
from fairlead.api.ledger_rights import NEEDS, PREFIX, need
from fairlead.ledger import wire
from fairlead.records import NewTask, Study, Trial
from fairlead.server.auth import add_token

Clients = Callable[..., httpx2.Client]
SHAPE = {wire.SHAPE_HEADER: wire.shape()}
EVERY = [f"{part}/{name}" for part in wire.parts() for name in wire.names(part)]
ADMINS = {
    "studies/withdraw",
    "studies/finish",
    "versions/register",
    "outbox/sent",
    "routes/mark",
    "deployments/take",
    "deployments/observe",
    "servers/seen",
    "servers/gone",
    "runs/take",
    "runs/release",
    "runs/advance",
    *("schedules/take", "schedules/release", "schedules/begin", "schedules/note"),
    "autoscaling/take",
    "autoscaling/release",
    "autoscaling/decided",
    "roots/digests",
}
WORKERS = {
    "clock/now",
    "studies/get",
    "tasks/claim",
    "tasks/heartbeat",
    "tasks/commit",
    "tasks/commit_and_claim",
    "tasks/commit_refit",
    "tasks/fault",
    "tasks/release",
    "tasks/lose",
    "tasks/ask_to_leave",
    "tasks/is_leaving",
    "fits/note",
    "fits/report",
    "workers/seen",
    "workers/gone",
}


def called(client: httpx2.Client, path: str, body: dict[str, Any], **headers: str) -> Any:
    return client.post(f"{PREFIX}{path}", json=body, headers={**SHAPE, **headers})


def test_for_every_method_of_the_ledger_somebody_has_said_who_may_call_it() -> None:
    named = {f"{part}/{name}" for part, of in NEEDS.items() for name in of}
    assert named | ADMINS == set(EVERY)
    assert named & ADMINS == set()
    assert {path for path in EVERY if need(PREFIX + path) in MAY["worker"]} == WORKERS


def test_reading_changes_nothing_and_changing_is_no_reading() -> None:
    for path in EVERY:
        writes = need(PREFIX + path) not in {"look", "read"} and path not in {
            "tasks/is_leaving",
            "roots/digests",
        }
        assert writes == (path in WRITES), path


WRITES = ADMINS - {"roots/digests"} | {
    *(WORKERS - {"clock/now", "studies/get", "tasks/is_leaving"}),
    "studies/open",
    "studies/prioritize",
    "studies/pause",
    "studies/resume",
    "tasks/add",
    "versions/judge",
    "versions/promote",
    "routes/revise",
    "routes/change",
    "routes/note",
    "deployments/begin",
    "deployments/advance",
    "runs/open",
    "runs/cancel",
    *("schedules/put", "schedules/remove", "schedules/pause", "schedules/resume"),
}


@pytest.mark.parametrize("role", MAY)
def test_a_role_calls_what_it_may_and_nothing_else(
    home: Home, in_process: Clients, role: str
) -> None:
    client = in_process(add_token(home.settings.tokens, "someone", role=role))  # type: ignore[arg-type] # one of them
    for path in [*EVERY, "nothing/at_all", "studies/__class__"]:
        status = called(client, path, {"no_such_argument": 1}).status_code
        may = need(PREFIX + path) in MAY[role]  # type: ignore[index] # one of them
        assert (status != 403) == may, path
        assert status in ({404} if path not in EVERY else {400, 403}) | {403}, path


def test_who_asked_is_said_by_the_token_and_not_by_the_call(
    home: Home, in_process: Clients
) -> None:
    ann = in_process(add_token(home.settings.tokens, "ann", role="admin"))
    with home.stores() as stores:
        (version, *_) = stores.ledger.versions.all("sums")
        study = stores.ledger.studies.get("sums")
    assert called(ann, "studies/pause", {"study": study.id, "by": "bob"}).status_code == 200
    promotion = {
        "model": "sums",
        "number": 0,
        "version": 1,
        "previous": 2,
        "kind": "promote",
        "why": "I like it",
    }
    answer = called(ann, "versions/promote", {"promotion": promotion})
    assert answer.json()["why"] == "I like it (by ann)"
    with home.stores() as stores:
        assert stores.ledger.studies.events(study.id)[-1].text == "by ann"
        assert stores.ledger.versions.history("sums")[-1].why == "I like it (by ann)"
        assert version.number == 1


def test_without_tokens_a_call_is_taken_as_it_is(home: Home, in_process: Clients) -> None:
    client = in_process()
    assert called(client, "studies/pause", {"study": "sums", "by": "bob"}).status_code == 404
    with home.stores() as stores:
        study = stores.ledger.studies.get("sums")
        assert called(client, "studies/pause", {"study": study.id, "by": "bob"}).json() is None
        assert stores.ledger.studies.events(study.id)[-1].text == "by bob"


def test_an_error_can_be_raised_again(in_process: Clients) -> None:
    answer = called(in_process(), "studies/get", {"study": "smus"})
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = answer.json()
    assert (problem["code"], problem["kind"]) == ("not_found", "not_found")
    assert "did you mean 'sums'" in problem["detail"]
    assert isinstance(problem["steps"], list)


def test_another_fairlead_is_refused(in_process: Clients) -> None:
    answer = in_process().post(f"{PREFIX}clock/now", json={})
    assert (answer.status_code, answer.json()["code"]) == (400, "other_version")


def test_a_call_is_as_large_as_its_method_needs(in_process: Clients) -> None:
    client = in_process()
    large = {"study": "x" * 1_000_000}
    assert called(client, "studies/pause", large).status_code == 404
    assert called(client, "studies/get", large).status_code == 413
    larger = {"study": "x" * 5_000_000}
    assert called(client, "studies/pause", larger).status_code == 413
    assert called(client, "tasks/add", {**larger, "tasks": []}).status_code == 404
    path = "/api/v1/runs/sums/cancel"
    assert client.post(path, json={"why": "x" * 1_000_000}).status_code == 413


def test_a_claim_is_made_once_under_its_key(home: Home, in_process: Clients) -> None:
    with home.stores() as stores:
        study = Study(id="5" * 64, name="more", spec="{}", table="7" * 64, size=2)
        stores.ledger.studies.open(study)
        trials = [Trial(number=number, family="f", params={}) for number in range(2)]
        tasks = [NewTask(kind="trials", trials=(each,)) for each in trials]
        client = in_process(add_token(home.settings.tokens, "w", role="worker"))
        asked = {"worker": "w", "lease": 60.0, "study": study.id}
        none = called(client, "tasks/claim", asked, **{"Idempotency-Key": "k"})
        assert none.json() is None
        stores.ledger.tasks.add(study.id, tasks)
        first = called(client, "tasks/claim", asked, **{"Idempotency-Key": "k"})
        again = called(client, "tasks/claim", asked, **{"Idempotency-Key": "k"})
        assert first.json()["trials"][0]["number"] == 0
        assert again.content == first.content
        assert again.headers["idempotency-replayed"] == "true"
        assert stores.ledger.studies.counts(study.id).running == 1
        another = called(client, "tasks/claim", asked, **{"Idempotency-Key": "k2"})
        assert another.json()["trials"][0]["number"] == 1


def test_what_is_kept_of_calls_are_those_that_write() -> None:
    assert set() == wire.KEPT - WRITES
