"""The next steps of an error, worded as commands.

A step names a command, and its arguments by the names that click knows them by. Which of them are
positional, and how a value that the person has to choose is called, is read off the command itself.
"""

from __future__ import annotations

import importlib
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from click.core import ParameterSource

from fairlead.errors import FairleadError, NextStep, Value
from fairlead.formatting import without_password


def explained(error: FairleadError) -> str:
    """The error's message, and after it the commands that lead on."""
    return with_commands(str(error), error.next_steps)


def with_commands(text: str, next_steps: Sequence[NextStep]) -> str:
    """The text, and after it the commands that lead on."""
    steps = [f"`{command_line(step)}` {step.effect}".rstrip() for step in next_steps]
    if len(steps) > 1:
        steps[-1] = f"or {steps[-1]}"
    return "; ".join(filter(None, (text, ", ".join(steps))))


def command_line(step: NextStep, *, anywhere: bool = False) -> str:
    """The step as a person types it.

    Args:
        step: What to do.
        anywhere: Whether it may be read on another machine, where nothing of this one is known.

    Raises:
        LookupError: There is no such command, or it has no such argument.
    """
    command = _command(step.action)
    parameters = {each.name: each for each in command.params}
    words = ["fairlead" if anywhere else program(), *step.action.split(".")]
    for name, value in step.arguments.items():
        words.extend(_words(command, parameters[name], value))
    return " ".join(words)


def program() -> str:
    """What a person types for `fairlead`, with the global options that this command was given."""
    return " ".join((_path(), *_given_options()))


def _given_options() -> Iterator[str]:
    """The options that say where everything is kept: without them the next command looks elsewhere.

    A URL with a password is left for the person to fill in.
    """
    context = click.get_current_context(silent=True)
    if context is None:
        return
    root = context.find_root()
    for option in root.command.params:
        name = str(option.name)
        if root.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        text = str(root.params.get(name))
        yield from _words(root.command, option, None if without_password(text) != text else text)


def _path() -> str:
    """The path of the program as it was called, where a shell needs it."""
    called = sys.argv[0] if sys.argv else ""
    if Path(called).name != "fairlead":  # `python -m fairlead`, or a program that imports it
        return "fairlead"
    found = shutil.which("fairlead")
    same = found is not None and os.path.realpath(found) == os.path.realpath(called)
    return "fairlead" if same else shlex.quote(called)


def _command(action: str) -> click.Command:
    name, *parts = action.split(".")
    try:
        module = importlib.import_module(f"fairlead.cli.commands.{name.replace('-', '_')}")
    except ModuleNotFoundError:
        raise LookupError(f"there is no command {action!r}") from None
    found: click.Command | None = module.command
    for part in parts:
        if isinstance(found, click.Group):
            found = found.get_command(click.Context(found), part)
    if found is None:
        raise LookupError(f"there is no command {action!r}")
    return found


def _words(command: click.Command, parameter: click.Parameter, value: Value) -> Iterator[str]:
    if isinstance(parameter, click.Option):
        yield max(parameter.opts, key=len)
        if value is True:
            return
    if value is None:
        yield parameter.make_metavar(click.Context(command)).strip("[].")
    else:
        yield shlex.quote(str(value))
