"""Specs are submitted over HTTP, with uploaded files and with nothing of the server's."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.integration.api.conftest import SPEC, Home
from tests.support.waiting import wait_until

from fairlead.server.auth import add_token
from fairlead.spec import yaml
from fairlead.stores import Stores

Clients = Callable[..., httpx2.Client]
ROWS = "\n".join(["number,sum", *(f"{n},{2 * n}" for n in range(300))]).encode()
FAMILY = b"""
import os, pathlib
from sklearn.linear_model import Ridge
with pathlib.Path(os.environ["SEEN"]).open("a") as seen:
    seen.write(f"{os.getpid()} {os.getppid()}\\n")
class Own(Ridge):
    pass
"""


@pytest.fixture
def client(home: Home, in_process: Clients) -> httpx2.Client:
    return in_process(add_token(home.settings.tokens, "ann", role="submitter"))


def put(client: httpx2.Client, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    assert client.put(f"/api/v1/artifacts/{digest}", content=content).status_code == 200
    return digest


def submitted(client: httpx2.Client, spec: object, **more: Any) -> httpx2.Response:
    headers = more.pop("headers", {})
    return client.post("/api/v1/runs", json={"spec": spec, **more}, headers=headers)


def document() -> Any:
    tree = yaml.parse(SPEC, "spec")
    assert tree is not None
    return tree.plain()


@pytest.mark.parametrize("named", ["sums.csv", "./sums.csv"])
@pytest.mark.parametrize("form", ["yaml", "json"])
def test_a_spec_is_submitted_with_its_file(
    client: httpx2.Client, stores: Stores, named: str, form: str
) -> None:
    spec = SPEC.replace("sums.csv", named) if form == "yaml" else document()
    made = submitted(client, spec, files={"sums.csv": put(client, ROWS)}, priority=3)
    assert made.status_code == 201, made.text
    run = made.json()
    assert made.headers["location"] == f"/api/v1/runs/{run['id']}"
    assert client.get(made.headers["location"]).json()["run"]["state"] == "running"
    study = stores.ledger.studies.get(run["study"])
    assert (study.priority, stores.ledger.studies.counts(study.id).ready) == (3, 1)
    again = submitted(client, spec, files={"sums.csv": put(client, ROWS)})
    assert (again.status_code, again.json()["id"]) == (200, run["id"])
    fresh = submitted(client, spec, files={"sums.csv": put(client, ROWS)}, fresh=True)
    assert fresh.status_code == 201


def test_it_is_submitted_once_under_its_key(client: httpx2.Client, stores: Stores) -> None:
    asked = {"files": {"sums.csv": put(client, ROWS)}, "fresh": True}
    key = {"Idempotency-Key": "k"}
    made = submitted(client, SPEC, **asked, headers=key)
    assert made.status_code == 201
    again = submitted(client, SPEC, **asked, headers=key)
    assert (again.status_code, again.content) == (201, made.content)
    assert again.headers["location"] == made.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert len(stores.ledger.runs.all()) == 3


@pytest.mark.parametrize(
    "source",
    ["{home}/sums.csv", "sums.csv", "../sums.csv", "~/sums.csv", "file://{home}/sums.csv"],
)
def test_a_path_of_the_server_is_refused(
    home: Home, client: httpx2.Client, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.chdir(home.folder)
    assert Path("sums.csv").exists()
    spec = document()
    spec["data"]["source"] = source.format(home=home.folder)
    refused = submitted(client, spec, files={"other.csv": put(client, ROWS)})
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_spec"), refused.text
    assert refused.json()["detail"].startswith("spec.yaml:1:")
    assert "data.source" in refused.json()["detail"]


@pytest.mark.parametrize(
    "source",
    [
        "https://127.0.0.1:1/x.csv",
        "https://localhost:1/x.csv",
        "https://[::ffff:10.0.0.1]/x.csv",
        "http://example.com/x.csv",
    ],
)
def test_no_private_address_is_asked_whatever_the_server_allows(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setenv("FAIRLEAD_ALLOW_PRIVATE_URLS", "1")
    spec = document()
    spec["data"]["source"] = source
    refused = submitted(client, spec)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_spec"), refused.text
    said = refused.json()["detail"]
    assert "private address" in said or "https://" in said


def test_a_refusal_of_an_address_advises_nothing_that_the_client_cannot_do(
    client: httpx2.Client,
) -> None:
    spec = document()
    spec["data"]["source"] = "https://127.0.0.1/rows.csv"
    refused = submitted(client, spec)
    assert refused.status_code == 400
    assert "never to clients of a server" in refused.json()["detail"]


def test_code_is_an_uploaded_file_and_runs_in_other_processes(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = home.folder / "seen"
    monkeypatch.setenv("SEEN", str(seen))
    served = home.serve("--workers", "1")
    spec = document()
    spec["search"]["over"] = [{"family": "./own.py:Own", "params": {"alpha": [1.0, 2.0]}}]
    with served.client() as client:
        (home.folder / "own.py").write_bytes(FAMILY)  # the server's own is none of the client's
        files = {"sums.csv": put(client, ROWS)}
        refused = submitted(client, spec, files=files)
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_spec")
        assert "search.over[0].family" in refused.json()["detail"]
        made = submitted(client, spec, files={**files, "own.py": put(client, FAMILY)})
        assert made.status_code == 201, made.text

        def ended() -> bool:
            state = client.get(made.headers["location"]).json()["run"]["state"]
            assert state in {"running", "done"}
            return bool(state == "done")

        wait_until(ended, seconds=240, every=0.2)
    processes = [line.split()[0] for line in seen.read_text().splitlines()]
    assert processes
    assert str(served.process.pid) not in processes


@pytest.mark.parametrize(
    ("code", "status"),
    [(b"import os; os._exit(3)", 422), (b"import os; os.fork() or os.setsid(); os._exit(0)", 422)],
)
def test_code_that_ends_its_process_ends_no_server(
    client: httpx2.Client,
    code: bytes,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    spec = document()
    spec["search"]["over"] = [{"family": "./own.py:Own", "params": {"alpha": [1.0]}}]
    files = {"sums.csv": put(client, ROWS), "own.py": put(client, code)}
    answer = submitted(client, spec, files=files)
    assert (answer.status_code, answer.json()["code"]) == (status, "failed"), answer.text
    assert client.get("/api/v1/runs").status_code == 200
    assert list(temporary.glob("fairlead-client-*")) == []


@pytest.mark.parametrize(
    "name", ["/etc/x.csv", "../x.csv", "a/../x.csv", "a//b", "spec.yaml", "./x.csv", "a/", ""]
)
def test_a_name_of_a_file_is_a_relative_path(client: httpx2.Client, name: str) -> None:
    refused = submitted(client, SPEC, files={name: put(client, ROWS)})
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid"), refused.text


def test_wrong_specs_and_files_are_refused_in_a_line(client: httpx2.Client) -> None:
    digest = put(client, ROWS)
    unknown = submitted(client, SPEC, files={"sums.csv": "0" * 64})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    nested = submitted(client, SPEC, files={"a": digest, "a/b": digest})
    assert nested.status_code == 400
    typo = submitted(client, SPEC.replace("method", "methd"), files={"sums.csv": digest})
    assert (typo.status_code, typo.json()["code"]) == (400, "invalid_spec")
    assert typo.json()["detail"].startswith("spec.yaml:5:3: ")
    other = submitted(client, SPEC, files={"sums.csv": put(client, b"a,b\n1,2\n")})
    assert other.status_code == 400
    assert submitted(client, "x" * (5 << 20)).status_code == 413


def test_a_model_is_trained_again_on_a_file_of_today(client: httpx2.Client) -> None:
    ask = "/api/v1/models/sums/retrain"
    path = client.post(ask, json={})
    assert (path.status_code, path.json()["code"]) == (400, "invalid_spec"), path.text
    made = client.post(ask, json={"source": "today.csv", "files": {"today.csv": put(client, ROWS)}})
    assert made.status_code == 201, made.text
    assert client.post("/api/v1/models/none/retrain", json={}).status_code == 404
    spec = client.get(f"/api/v1/studies/{made.json()['study']}").json()["spec"]
    assert "today.csv" in json.loads(spec)["data"]["source"]
