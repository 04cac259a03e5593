"""Who may speak of commands, and the codes by which programs tell errors apart."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import fairlead
from fairlead import errors
from fairlead.cli.next_steps import command_line
from fairlead.errors import NextStep

PACKAGE = Path(fairlead.__file__).parent
DOCS = Path(__file__).parents[3] / "docs"


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE), ast.parse(path.read_text(encoding="utf-8"))


def messages(tree: ast.Module) -> Iterator[str]:
    """The texts of a module but its docstrings and the strings that stand below a constant."""
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in bare and isinstance(node.value, str):
            yield node.value


def test_no_module_below_the_command_line_tells_people_to_type_a_command() -> None:
    found = [
        f"{path}: {text!r}"
        for path, tree in modules()
        if path.parts[0] != "cli"
        for text in messages(tree)
        if "`fairlead " in text
    ]
    assert found == []


def test_control_knows_nothing_of_terminals() -> None:
    for path in sorted((PACKAGE / "control").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        } | {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {name.partition(".")[0] for name in imported} & {"click", "rich"}, path
        calls = {
            node.func.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert "print" not in calls, path


def steps(tree: ast.Module) -> Iterator[NextStep]:
    """The next steps that a module names with constants; a value that it computes is 1."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "NextStep"
        ):
            given = dict(zip(("action", "arguments", "effect"), node.args, strict=False))
            given |= {str(each.arg): each.value for each in node.keywords}
            action, arguments = given.get("action"), given.get("arguments")
            if isinstance(action, ast.Constant) and isinstance(arguments, ast.Dict):
                names = [key.value for key in arguments.keys if isinstance(key, ast.Constant)]
                yield NextStep(
                    action=str(action.value), arguments=dict.fromkeys(map(str, names), "1")
                )


def test_each_next_step_is_a_command_with_its_arguments() -> None:
    found = [step for _, tree in modules() for step in steps(tree)]
    assert len(found) > 5
    for step in found:
        assert command_line(step).startswith("fairlead ")


def codes() -> set[str]:
    """Those of the classes, and those that are named where an error is raised."""
    own = {
        each.default_code
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.FairleadError)
    }
    named = {
        keyword.value.value
        for _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "code" and isinstance(keyword.value, ast.Constant)
    }
    return (
        own
        | {str(code) for code in named}
        | {f"deployment_{end}" for end in ("failed", "undone", "superseded")}
    )


def test_every_code_of_an_error_is_documented() -> None:
    page = (DOCS / "errors.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `([a-z_]+)` \|", page, re.MULTILINE)
    assert sorted(set(documented)) == sorted(documented)
    assert set(documented) == codes()


def test_each_class_of_errors_has_a_code_of_its_own() -> None:
    own = [
        each.default_code
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.FairleadError)
    ]
    assert len(own) == len(set(own))
