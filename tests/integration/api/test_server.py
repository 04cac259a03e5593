"""`fairlead server` as people start it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from tests.integration.api.conftest import Home
from tests.support.waiting import wait_until

from fairlead.ledger import wire
from fairlead.server.auth import Role

EXCLUDED = (
    "positive_data_acceptance",
    "negative_data_rejection",
    "ignored_auth",
    "unsupported_method",
)


def test_it_carries_what_was_submitted(home: Home) -> None:
    served = home.serve("--workers", "1")
    more = "search.over[0].params.n_estimators=[7]"
    run = home.done("submit", "sums.yaml", "--set", more).strip()
    with served.client() as client:

        def ended() -> bool:
            return client.get(f"/api/v1/runs/{run}").json()["run"]["state"] == "done"  # type: ignore[no-any-return]

        wait_until(ended, seconds=240, every=0.2)
        assert client.get("/api/v1/models/sums").json()["champion"] == 3
    assert served.stop() == 0
    assert "Traceback" not in served.said.read_text()


def test_without_a_controller_it_carries_nothing(home: Home) -> None:
    served = home.serve("--no-controller")
    run = home.done("submit", "sums.yaml", "--fresh").strip()
    with served.client() as client:
        assert client.get(f"/api/v1/runs/{run}").json()["run"]["holder"] is None
        assert client.post(f"/api/v1/runs/{run}/cancel", json={}).json()["state"] == "cancelled"
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(60) == 0


def test_it_says_that_it_is_there_while_every_thread_waits_for_the_database(home: Home) -> None:
    served = home.serve("--no-controller")
    database = sqlite3.connect(home.folder / "home" / "ledger.db", isolation_level=None)
    with served.client() as client, ThreadPoolExecutor(64) as pool:
        asked = {"workers": ["w"]}
        headers = {wire.SHAPE_HEADER: wire.shape()}
        database.execute("begin immediate")  # as by a writer that hangs
        try:
            for _ in range(64):
                pool.submit(
                    client.post, "/api/v1/ledger/tasks/ask_to_leave", json=asked, headers=headers
                )

            def is_full() -> bool:
                try:
                    client.get("/api/v1/runs", timeout=1.0)
                except httpx2.TimeoutException:
                    return True
                return False

            wait_until(is_full)
            assert client.get("/api/v1/health", timeout=5.0).json()["status"] == "ok"
        finally:
            database.rollback()
            database.close()


READS = ["--include-method=GET", "--max-examples=40"]
WRITES = [
    *(f"--include-method={method}" for method in ("POST", "PUT", "PATCH", "DELETE")),
    "--exclude-path=/api/v1/runs",  # starts a process for each
    "--exclude-path=/api/v1/ledger/{part}/{name}",  # its body is the ledger's own
    "--max-examples=10",
]


@pytest.mark.parametrize(("role", "asked"), [("viewer", READS), ("admin", WRITES)])
def test_every_operation_answers_as_its_document_says(
    home: Home, tmp_path: Path, role: Role, asked: list[str]
) -> None:
    token = home.token(role)
    served = home.serve("--no-controller")
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"{served.url}/openapi.json",
        f"--header=Authorization: Bearer {token}",
        *asked,
        "--exclude-path=/api/v1/events",  # has no end
        "--seed=1",
        "--no-color",
        "--phases=examples,coverage,fuzzing",
        "--generation-deterministic",
        # A cursor is opaque, ids are of what is there, tokens have their own tests; and a method
        # that a route has not is 403 before it is 405: the gate comes first.
        f"--exclude-checks={','.join(EXCLUDED)}",
    ]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
    )
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
    assert "Traceback" not in served.said.read_text()
