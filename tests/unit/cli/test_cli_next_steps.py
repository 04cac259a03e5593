"""Next steps of errors, as the command line words them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import fairlead
from fairlead.cli.main import commands
from fairlead.cli.next_steps import command_line, explained
from fairlead.errors import Conflict, Invalid, NextStep, NotFound, Value


def test_positional_arguments_options_and_flags_are_told_apart_by_the_command() -> None:
    step = NextStep(action="route", arguments={"model": "prices", "history": True})
    assert command_line(step) == "fairlead route prices --history"
    step = NextStep(action="promote", arguments={"model": "prices", "version": 3, "why": None})
    assert command_line(step) == "fairlead promote prices 3 --why TEXT"


def test_a_value_that_the_person_chooses_is_a_placeholder() -> None:
    step = NextStep(action="promote", arguments={"model": None, "version": None, "why": None})
    assert command_line(step) == "fairlead promote MODEL VERSION --why TEXT"


def test_a_subcommand_is_named_with_its_group() -> None:
    step = NextStep(action="token.add", arguments={"name": None})
    assert command_line(step) == "fairlead token add NAME"


def test_a_value_that_a_shell_would_split_is_quoted() -> None:
    step = NextStep(action="deploy", arguments={"model": "a b"})
    assert command_line(step) == "fairlead deploy 'a b'"


def test_a_command_is_named_by_its_path_where_no_shell_would_find_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = tmp_path / "a b" / "fairlead", tmp_path / "other" / "fairlead"
    for program in (own, other):
        program.parent.mkdir()
        program.touch(mode=0o755)
    step = NextStep(action="report", arguments={"study": "prices"})
    monkeypatch.setattr(sys, "argv", [str(own)])
    for path, said in (
        (tmp_path, f"'{own}'"),
        (other.parent, f"'{own}'"),  # which is another installation
        (own.parent, "fairlead"),
    ):
        monkeypatch.setenv("PATH", str(path))
        assert command_line(step) == f"{said} report prices"


def test_a_command_names_the_stores_that_this_one_was_given(tmp_path: Path) -> None:
    root = commands.make_context("fairlead", ["--home", str(tmp_path / "a b"), "models"])
    step = NextStep(action="report", arguments={"study": "prices"})
    with root:
        assert command_line(step) == f"fairlead --home '{tmp_path}/a b' report prices"
    assert command_line(step) == "fairlead report prices"


@pytest.mark.parametrize(
    "url", ["postgresql://ada:secret@db/fairlead", "postgresql://ada@db/fairlead?password=secret"]
)
def test_a_stores_password_is_not_repeated(url: str) -> None:
    with commands.make_context("fairlead", ["--ledger", url, "models"]):
        said = command_line(NextStep(action="models"))
    assert said == "fairlead --ledger URL models"


@pytest.mark.parametrize(
    "step",
    [NextStep(action="dissolve"), NextStep(action="deploy", arguments={"colour": "red"})],
    ids=["command", "argument"],
)
def test_a_step_that_no_command_takes_is_refused(step: NextStep) -> None:
    with pytest.raises(LookupError):
        command_line(step)


def test_an_error_is_told_with_the_commands_that_lead_on() -> None:
    deploy = NextStep(action="deploy", arguments={"model": "m"}, effect="brings a version in")
    undo = NextStep(action="undo", arguments={"model": "m", "why": None}, effect="goes back")
    assert explained(Invalid("m is out")) == "m is out"
    one = Invalid("m is out", next_steps=[deploy])
    assert explained(one) == "m is out; `fairlead deploy m` brings a version in"
    two = Invalid("m is out", next_steps=[deploy, undo])
    assert explained(two) == (
        "m is out; `fairlead deploy m` brings a version in, or `fairlead undo m --why TEXT` goes "
        "back"
    )


def test_an_error_has_a_stable_code_of_its_own_or_of_its_class() -> None:
    assert NotFound("no such model").code == "not_found"
    assert Conflict("overtaken", code="route_changed").code == "route_changed"


def steps_written(source: str) -> Iterator[NextStep]:
    """The steps in a module that are written out, with "1" for each value that is computed."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "NextStep":
            given = [*node.args, *(each.value for each in node.keywords)]
            action = next((each.value for each in given if isinstance(each, ast.Constant)), None)
            arguments = next(
                (each for each in given if isinstance(each, ast.Dict)), ast.Dict(keys=[], values=[])
            )
            if isinstance(action, str):
                yield NextStep(action, dict(map(argument, arguments.keys, arguments.values)))


def argument(name: ast.expr | None, value: ast.expr) -> tuple[str, Value]:
    assert isinstance(name, ast.Constant)
    return str(name.value), value.value if isinstance(value, ast.Constant) else "1"


def test_every_step_that_an_error_or_a_server_names_is_a_command_with_these_arguments() -> None:
    sources = Path(fairlead.__file__).parent.rglob("*.py")
    steps = [step for source in sources for step in steps_written(source.read_text())]
    assert len(steps) > 10
    for step in steps:
        assert command_line(step).startswith("fairlead ")
