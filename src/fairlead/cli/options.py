"""Arguments and options that several commands take, and what a path or a version may be."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
_MOST_WORKERS = 1024
_SECONDS = {"w": 7 * 86400.0, "d": 86400.0, "h": 3600.0, "m": 60.0}
PRIORITY = click.IntRange(-1000, 1000)
"""As the ledger takes it."""
_DIGITS = 9  # more versions than any model has


class NonEmptyPath(click.Path):
    """A path that is not empty: Python would take the current folder for it."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Its path."""
        if not str(value):
            self.fail("it is empty.", param, ctx)
        return super().convert(value, param, ctx)


class VersionNumber(click.ParamType[int]):
    """A version's number, with or without the v that Fairlead writes before it."""

    name = "version"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """The number."""
        text = str(value).removeprefix("v")
        if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS and int(text)):
            self.fail(f"{value!r} is no version: give a number such as 3 or v3.", param, ctx)
        return int(text)


class TimeSpan(click.ParamType[float]):
    """Seconds, as 30m, 12h, 90d or 2w."""

    name = "time"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The seconds."""
        found = re.fullmatch(r"([0-9]{1,5})([wdhm])", str(value), re.ASCII)
        if found is None or not int(found[1]):
            cron = " (cron lines are not taken)" if len(str(value).split()) > 1 else ""
            self.fail(f"{value!r}: give a time such as 30d, 12h or 90m{cron}.", param, ctx)
        return int(found[1]) * _SECONDS[found[2]]


def spec_options(command: Command) -> Command:
    """Give the command what it takes to plan or run a spec: SPEC, `--workers` and `--set`."""
    spec = click.argument("spec", type=click.Path(path_type=Path))
    return spec(workers_option(sets_option(command)))


def sets_option(command: Command) -> Command:
    """Give the command `--set`, as its argument `sets`."""
    return click.option(
        "--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override a key of the spec."
    )(command)


def token_option(command: Command) -> Command:
    """Give the command `--token`."""
    return click.option(
        "--token",
        envvar="FAIRLEAD_TOKEN",
        help="Bearer token for the server (better given as $FAIRLEAD_TOKEN).",
    )(command)


def priority_option(command: Command) -> Command:
    """Give a command that submits a run `--priority`."""
    return click.option(
        "--priority",
        type=PRIORITY,
        help="Its tasks go before those of a lower one (default: 0).",
    )(command)


def why_option(command: Command) -> Command:
    """Give the command `--why`."""
    return click.option("--why", required=True, help="The reason, kept in the history.")(command)


def workers_option(command: Command) -> Command:
    """Give the command `--workers`."""
    return click.option(
        "--workers",
        type=click.IntRange(1, _MOST_WORKERS),
        help="Number of workers (default: one per core, at most one per trial).",
    )(command)


class FiniteRange(click.FloatRange):
    """A number within bounds; click takes nan for one."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number
