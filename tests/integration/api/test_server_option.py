"""`fairlead --server URL`: commands through the API alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.integration.api.conftest import Home, Served
from tests.support.waiting import wait_until

from fairlead.api_client import TOKEN
from fairlead.ledger.store import open_ledger
from fairlead.records import Schedule
from fairlead.server.auth import add_token


@pytest.fixture
def served(home: Home) -> Served:
    for role in ("viewer", "worker", "submitter", "promoter", "admin"):
        token = add_token(home.settings.tokens, f"the-{role}", role=role)  # type: ignore[arg-type] # one of them
        (home.folder / role).write_text(token)
    return home.serve("--no-controller")


class Laptop:
    """A machine that knows a URL and a token, and has nothing else."""

    def __init__(self, folder: Path, server: str, token: str) -> None:
        self.folder, self._server, self._token = folder, server, token

    @property
    def environ(self) -> dict[str, str]:
        return {TOKEN: self._token, "FAIRLEAD_MLFLOW_URI": "none"}

    def arguments(self, *args: str) -> list[str]:
        return ["--home", "home", "--server", self._server, *args]

    def _command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "fairlead", *self.arguments(*args)]

    @contextmanager
    def started(self, *args: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
        """A command that goes on, and what it says; it is stopped at the end."""
        said = self.folder / f"{args[0]}.out"
        with said.open("wb") as out:
            process = subprocess.Popen(
                self._command(*args),
                cwd=self.folder,
                env={**os.environ, **self.environ},
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:
            yield process, said
        finally:
            process.terminate()
            try:
                process.wait(60)
            finally:
                process.kill()
                process.wait()

    def ran(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(*args),
            cwd=self.folder,
            env={**os.environ, **self.environ},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def done(self, *args: str) -> str:
        done = self.ran(*args)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *args: str) -> str:
        done = self.ran(*args)
        assert done.returncode == 2, done
        assert len(done.stderr.splitlines()) == 1
        assert self._token not in done.stderr + done.stdout
        return done.stderr


def laptop(home: Home, served: Served, role: str, tmp_path: Path) -> Laptop:
    folder = tmp_path / role
    folder.mkdir()
    return Laptop(folder, served.url, (home.folder / role).read_text())


def test_commands_that_read_say_what_they_say_beside_the_ledger(
    home: Home, served: Served, tmp_path: Path
) -> None:
    viewer = laptop(home, served, "viewer", tmp_path)
    for command in (
        ["studies", "--json"],
        ["runs", "--json"],
        ["trials", "sums", "--json"],
        ["history", "sums", "--json"],
    ):
        assert json.loads(viewer.done(*command)) == json.loads(home.done(*command)), command
    assert viewer.done("logs", "sums") == home.done("logs", "sums")
    assert json.loads(viewer.done("fleet", "--json"))["alive"] == []


def test_what_a_role_may_not_is_refused_in_a_line(
    home: Home, served: Served, tmp_path: Path
) -> None:
    worker = laptop(home, served, "worker", tmp_path)
    for command in (
        ["studies"],
        ["models"],
        ["promote", "sums", "1", "--why", "I like it"],
        ["pause", "sums"],
        ["fleet"],
    ):
        assert "'the-worker' has the role 'worker'" in worker.refused(*command)
    viewer = laptop(home, served, "viewer", tmp_path)
    assert "'the-viewer' has the role 'viewer'" in viewer.refused("worker", "--quiet")


def test_models_are_read_and_changed_through_the_server(
    home: Home, served: Served, tmp_path: Path
) -> None:
    viewer = laptop(home, served, "viewer", tmp_path)
    rows = tmp_path / "rows.csv"
    rows.write_text("number\n1\n2\n")
    assert viewer.done("predict", "sums", str(rows)) == home.done("predict", "sums", str(rows))
    assert json.loads(viewer.done("models", "--json")) == json.loads(home.done("models", "--json"))
    assert "'the-viewer' has the role" in viewer.refused("promote", "sums", "1", "--why", "so")
    promoter = laptop(home, served, "promoter", tmp_path)
    promoter.done("promote", "sums", "1", "--why", "I like it")
    promoter.done("deploy", "sums", "--no-wait")
    history = json.loads(viewer.done("history", "sums", "--json"))
    assert history["promotions"][-1]["why"] == "I like it (by the-promoter)"


def test_runs_are_submitted_and_changed_through_the_server(
    home: Home, served: Served, tmp_path: Path
) -> None:
    submitter = laptop(home, served, "submitter", tmp_path)
    before = submitter.done("studies", "--json")
    spec = str(home.folder / "sums.yaml")
    more = ("--set", "search.over[0].params.n_estimators=[7, 8]")
    assert "'the-submitter' has the role" in submitter.refused("run", spec, *more).splitlines()[-1]
    assert submitter.done("studies", "--json") == before  # nothing was written
    run = submitter.done("submit", spec, *more).strip()
    submitter.done("pause", run)
    assert "paused: by the-submitter" in submitter.done("logs", run)
    submitter.done("resume", run)
    submitter.done("cancel", run, "--why", "seen enough")
    (found,) = (one for one in json.loads(home.done("runs", "--json")) if one["run"]["id"] == run)
    assert (found["run"]["state"], found["run"]["reason"]) == (
        "cancelled",
        "seen enough (by the-submitter)",
    )
    admin = laptop(home, served, "admin", tmp_path)
    outcome = json.loads(admin.done("run", spec, *more, "--workers", "1", "--json"))
    assert len(outcome["trials"]) == 2


def test_a_study_that_is_complete_is_submitted_and_trained_again_by_a_submitter(
    home: Home, served: Served, tmp_path: Path
) -> None:
    submitter = laptop(home, served, "submitter", tmp_path)
    for name in ("sums.yaml", "sums.csv"):
        shutil.copy(home.folder / name, tmp_path / "submitter")
    before = json.loads(submitter.done("studies", "--json"))
    run = submitter.done("submit", "sums.yaml").strip()
    again = submitter.done("retrain", "sums").split()
    assert json.loads(submitter.done("studies", "--json")) == before
    runs = {one["run"]["id"]: one["run"] for one in json.loads(submitter.done("runs", "--json"))}
    assert runs[run]["state"] == "running"
    assert any(word in runs for word in again), again


def test_what_only_the_servers_machine_can_do_is_refused_in_a_line(
    home: Home, served: Served, tmp_path: Path
) -> None:
    admin = laptop(home, served, "admin", tmp_path)
    for command in (
        ["token", "list"],
        ["ledger", "status"],
        ["ledger", "upgrade"],
        ["ledger", "grants", "someone"],
        ["server", "--port", "0"],
        ["gc"],
    ):
        assert "server" in admin.refused(*command), command


@pytest.mark.parametrize("command", ["models", "worker", "gc"])
def test_what_is_wrong_with_the_option_is_said_of_the_option(tmp_path: Path, command: str) -> None:
    done = Laptop(tmp_path, "https://ada:secret@host/", "").ran(command)
    assert done.returncode == 2
    assert done.stderr.startswith("--server: a URL of a server has no user, no password")
    assert "secret" not in done.stderr


def test_slots_whose_ledger_is_away_end_soon_after_the_time_that_tasks_have(
    home: Home, served: Served, tmp_path: Path
) -> None:
    worker, viewer = (laptop(home, served, role, tmp_path) for role in ("worker", "viewer"))
    with worker.started("worker", "--slots", "2", "--drain-seconds", "1") as (process, _):
        wait_until(lambda: len(json.loads(viewer.done("fleet", "--json"))["alive"]) == 2)
        served.process.kill()
        served.process.wait()
        began = time.monotonic()
        process.terminate()
        assert process.wait(60) == 0
        assert time.monotonic() - began < 30  # alone on a machine it takes 10


def test_a_report_and_an_export_are_made_of_what_the_server_answers(
    home: Home, served: Served, tmp_path: Path
) -> None:
    viewer = laptop(home, served, "viewer", tmp_path)
    csv = viewer.done("export", "sums", "--to", "csv")
    assert csv == home.done("export", "sums", "--to", "csv")
    page = Path(viewer.done("report", "sums", "--output", str(tmp_path / "there.html")).strip())
    home.done("report", "sums", "--output", str(tmp_path / "here.html"))
    assert page.read_text() == (tmp_path / "here.html").read_text()
    database = tmp_path / "optuna.db"
    viewer.done("export", "sums", "--to", "optuna", f"sqlite:///{database}")
    assert database.stat().st_size > 0


def test_a_schedule_names_no_file_of_the_server(home: Home, served: Served) -> None:
    with open_ledger(home.settings.ledger_url) as ledger:
        schedule = Schedule(model="prices", every=3600.0, source="/etc/passwd", folder="/etc")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(TOKEN, (home.folder / "submitter").read_text())
            with open_ledger(served.url) as behind:
                behind.schedules.put(schedule)
        (kept,) = ledger.schedules.all()
    assert (kept.folder, kept.by) == ("", "the-submitter")
