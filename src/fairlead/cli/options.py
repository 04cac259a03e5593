"""Options that several commands take.

Belongs here: those that say what to run and with how many workers. Does not: how answers are
printed (output.py), nor what a single command takes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
_MOST_WORKERS = 1024


class Named(click.Path):
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


def spec_options(command: Command) -> Command:
    """Give the command what it takes to plan or run a spec: SPEC, `--workers` and `--set`."""
    sets = click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override a key.")
    spec = click.argument("spec", type=click.Path(path_type=Path))
    return spec(workers_option(sets(command)))


def workers_option(command: Command) -> Command:
    """Give the command `--workers`."""
    return click.option(
        "--workers",
        type=click.IntRange(1, _MOST_WORKERS),
        help="Workers (default: one a core, no more than trials).",
    )(command)
