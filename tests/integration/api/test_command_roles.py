"""Which role may give which command: the table of docs/fleet.md, each cell of it tried."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from tests.integration.api.conftest import Home, Served
from tests.integration.api.test_server_option import Laptop, laptop
from tests.support.waiting import wait_until

from fairlead.api.access import MAY
from fairlead.cli.main import NAMES, main
from fairlead.server.auth import add_token

TABLE = Path(__file__).parents[3] / "docs" / "fleet.md"
REFUSAL = re.compile(r"token 'the-(\w+)' has the role '\1'|a worker's token finds none by a name")
LONG = {"worker", "controller", "autoscale"}
"""Those that go on until they are stopped, in processes of their own."""
NO_SERVER = {"new", "families", "schema", "score", "doctor"}
CLUSTER = {"gateway", "install", "operator", "render", "uninstall"}
UNDECIDED = {"serve"}
"""It goes on whatever the role is."""
ITS_MACHINE = {"token", "ledger", "gc", "server"}
MAY_FAIL = {"test-endpoint"}
"""There is no endpoint."""
IN_SHORT = {"viewer", "submitter"}
"""Roles that are tried each time; the others, each of 40 commands, with what takes long."""


def table() -> Mapping[str, frozenset[str]]:
    """The roles by command, as the page has them."""
    _, _, after = TABLE.read_text().partition("| commands | roles |\n")
    rows = [line.split("|")[1:3] for line in after.partition("\n\n")[0].splitlines()[1:]]
    return {
        command: frozenset(re.findall("`([^`]+)`", roles))
        for commands, roles in rows
        for command in re.findall("`([^`]+)`", commands)
    }


def arguments(run: str) -> Mapping[str, list[str]]:
    """What each command is given, where that is more than its name."""
    why = ["--why", "so"]
    return {
        **{name: [name, run] for name in ("watch", "pause", "resume")},
        "logs": ["logs", run, "--tail", "1"],
        "trials": ["trials", "sums"],
        "report": ["report", "sums"],
        "export": ["export", "sums", "--to", "csv"],
        "history": ["history", "sums"],
        "predict": ["predict", "sums", "rows.csv"],
        "reproduce": ["reproduce", "sums", "1"],
        "route": ["route", "sums"],
        "plan": ["plan", "sums.yaml"],
        "test-endpoint": ["test-endpoint", "sums"],
        "submit": ["submit", "sums.yaml"],
        "retrain": ["retrain", "sums"],
        "adjust": ["adjust", run, "--priority", "1"],
        "cancel": ["cancel", run],
        **{f"schedules {name}": ["schedules", name, "sums"] for name in ("pause", "resume")},
        "schedules remove": ["schedules", "remove", "sums"],
        "promote": ["promote", "sums", "1", *why],
        "rollback": ["rollback", "sums", *why],
        "deploy": ["deploy", "sums", "--version", "1", "--no-wait"],
        "route --set": ["route", "sums", "--set", "v1=100", *why],
        "undo": ["undo", "sums", *why],
        "undeploy": ["undeploy", "sums", *why],
        "run": ["run", "sums.yaml", "--workers", "1"],
    }


@pytest.fixture
def served(home: Home) -> Served:
    other = "search.over[0].params.n_estimators=[6]"
    for more in ([], ["--set", other]):  # so that there is a route to go back to
        home.done("run", "sums.yaml", "--workers", "1", "--deploy", *more)
    for role in MAY:
        (home.folder / role).write_text(add_token(home.settings.tokens, f"the-{role}", role=role))
    return home.serve("--no-controller")


def test_the_table_has_every_command() -> None:
    commands = {command.split()[0] for command in table()}
    assert commands | NO_SERVER | ITS_MACHINE | CLUSTER | UNDECIDED == set(NAMES)
    assert not commands & (NO_SERVER | ITS_MACHINE)
    assert set.union(*map(set, table().values())) == set(MAY)


@pytest.mark.parametrize(
    "role",
    [pytest.param(role, marks=() if role in IN_SHORT else pytest.mark.long) for role in MAY],
)
def test_a_role_may_give_the_commands_of_the_table_and_no_others(
    home: Home, served: Served, tmp_path: Path, role: str
) -> None:
    home.done("retrain", "sums", "--every", "1d", "--at", "03:00")
    finished = json.loads(home.done("runs", "--json"))[0]
    run = home.done("submit", "sums.yaml").strip()
    theirs = laptop(home, served, role, tmp_path)
    for name in ("sums.yaml", "sums.csv"):
        shutil.copy(home.folder / name, tmp_path / role)
    (tmp_path / role / "rows.csv").write_text("number\n1\n")
    words = {**arguments(run), "watch": ["watch", finished["run"]["id"]]}
    for command, roles in table().items():
        tried = _tried_long if command in LONG else _tried
        is_refused = tried(theirs, words.get(command, [command]), command, may=role in roles)
        assert is_refused == (role not in roles), command


@contextmanager
def _as(theirs: Laptop) -> Iterator[None]:
    """In its folder, with its token."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(theirs.folder)
        for name, value in theirs.environ.items():
            patch.setenv(name, value)
        yield


def _tried(theirs: Laptop, words: list[str], command: str, *, may: bool) -> bool:
    """Whether it is refused for the role; it must end well where it is not.

    In this process: there are two hundred of them.
    """
    said = io.StringIO()
    with _as(theirs), redirect_stdout(io.TextIOWrapper(io.BytesIO())), redirect_stderr(said):
        status = main(theirs.arguments(*words))
    if may and command not in MAY_FAIL:
        assert status == 0, (command, said.getvalue())
    return REFUSAL.search(said.getvalue()) is not None


def _tried_long(theirs: Laptop, words: list[str], command: str, *, may: bool) -> bool:
    """The same of what goes on: it ends where it is refused."""
    with theirs.started(*words) as (process, said):
        if may:
            wait_until(lambda: said.read_text() or process.poll() is not None)
            assert process.poll() is None, (command, said.read_text())
        else:
            assert process.wait(60) == 2, command
    return REFUSAL.search(said.read_text()) is not None
