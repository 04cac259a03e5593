"""`fairlead export`: a study's trials for other tools."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fairlead.cli.context import opened, settings
from fairlead.cli.options import NonEmptyPath
from fairlead.cli.output import json_option, note, print_json

if TYPE_CHECKING:
    from fairlead.control.exports import Exported
    from fairlead.export.material import OnProgress

_EPILOG = """\b
Examples:
  fairlead export boston-prices --to csv > trials.csv
  fairlead export boston-prices --output trials.parquet
  fairlead export boston-prices --to optuna sqlite:///optuna.db
  fairlead export boston-prices --to mlflow sqlite:///mlflow.db
STUDY is a name (its newest study), an id, or the beginning of one.
"""
_EVERY = 10.0  # seconds between two lines about a long export


@click.command(epilog=_EPILOG)
@click.argument("study")
@click.argument("target", required=False, metavar="[URL]")
@click.option(
    "--to",
    type=click.Choice(["optuna", "mlflow", "csv", "parquet"]),
    help="What to export to (default: as --output ends).",
)
@click.option(
    "--output",
    type=NonEmptyPath(dir_okay=False, path_type=Path),
    help="File for CSV or Parquet (default: CSV to stdout).",
)
@click.option("--name", help="Name of Optuna's study or of MLflow's experiment.")
@json_option
@click.pass_context
def command(  # noqa: PLR0913 - what the command takes
    ctx: click.Context,
    *,
    study: str,
    target: str | None,
    to: str | None,
    output: Path | None,
    name: str | None,
    as_json: bool,
) -> None:
    """Export the trials of STUDY to Optuna, MLflow, CSV or Parquet.

    Optuna's URL is that of a database, such as sqlite:///optuna.db, or a file of a JournalStorage;
    MLflow's is a tracking URI: sqlite:///mlflow.db, http://HOST:5000, file:./mlruns. Exporting
    again adds what is new.
    """
    if to in ("optuna", "mlflow"):
        done = _to_tool(ctx, study, to, _url(to, target, output), name)
    else:
        path = _file(target, output, name)
        if path is None:
            _print_csv(ctx, study, to, as_json=as_json)
            return
        done = _to_file(ctx, study, path, to)
    if as_json:
        print_json(done)
    else:
        note(_in_words(done))


def _url(to: str, target: str | None, output: Path | None) -> str:
    if output is not None:
        raise click.UsageError(f"--output is for csv and parquet: give the URL of {to} alone")
    if not target:
        raise click.UsageError(f"--to {to} needs a URL, such as sqlite:///{to}.db")
    return target


def _file(target: str | None, output: Path | None, name: str | None) -> Path | None:
    """The file to write; None for stdout."""
    if name is not None:
        raise click.UsageError("--name is for optuna and mlflow")
    if target and output is not None:
        raise click.UsageError("two files are named: give --output alone")
    if target and "://" in target:
        raise click.UsageError("a URL needs --to optuna or --to mlflow")
    path = Path(target) if target else output
    return None if path is None or str(path) == "-" else path


def _to_tool(ctx: click.Context, study: str, to: str, url: str, name: str | None) -> Exported:
    from fairlead.control import exports

    options = settings(ctx)
    with opened(ctx) as stores, _shown() as shown:
        if to == "optuna":
            return exports.to_optuna(stores, options, study, url=url, name=name, on_progress=shown)
        return exports.to_mlflow(stores, options, study, uri=url, name=name, on_progress=shown)


def _to_file(ctx: click.Context, study: str, path: Path, to: str | None) -> Exported:
    from fairlead.control import exports

    form = exports.form_of(path, to)
    with opened(ctx) as stores:
        return exports.to_file(stores, study, path, form)


def _print_csv(ctx: click.Context, study: str, to: str | None, *, as_json: bool) -> None:
    from fairlead.control import exports

    if to is None:
        raise click.UsageError("say what to export to: --to, or --output FILE")
    if to == "parquet":
        raise click.UsageError("--to parquet needs --output FILE")
    if as_json:
        raise click.UsageError("--json and CSV would both go to stdout: give --output FILE")
    with opened(ctx) as stores:
        text = exports.as_csv(stores, study)
    click.echo(text, nl=False)


@contextmanager
def _shown() -> Iterator[OnProgress]:
    """A progress bar on a terminal; a line every few seconds elsewhere."""
    if not sys.stderr.isatty():
        yield _Lines().show
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("trials", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


class _Lines:
    def __init__(self) -> None:
        self._last = time.monotonic()

    def show(self, done: int, total: int) -> None:
        """Say how far it is, where the last line is long ago."""
        if time.monotonic() >= self._last + _EVERY:
            self._last = time.monotonic()
            note(f"{done:,} of {total:,} trials")


def _in_words(done: Exported) -> str:
    from fairlead.formatting import count

    called = f" as {done.name!r}" if done.name else ""
    if done.to in ("csv", "parquet"):
        return f"{done.target}: {count(done.trials, 'trial')}"
    updated = f", {done.updated:,} updated" if done.updated else ""
    return f"{done.target}{called}: {count(done.trials, 'trial')}, {done.added:,} new{updated}"
