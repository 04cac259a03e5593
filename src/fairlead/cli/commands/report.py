"""`fairlead report`: a study's report, one HTML file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fairlead import atomic
from fairlead.cli.context import opened, settings
from fairlead.cli.next_steps import command_line
from fairlead.cli.options import NonEmptyPath
from fairlead.cli.output import minute, note, printable

if TYPE_CHECKING:
    from fairlead.records import Study
    from fairlead.settings import Settings

_EPILOG = """\b
Examples:
  fairlead report boston-prices
  fairlead report boston-prices --output report.html
STUDY is a name (its newest study), an id, or the beginning of one.
"""
_DIGITS = 8  # of the id, in the file's name
_OTHER = re.compile(r"[^A-Za-z0-9._-]")  # than what every system has in names
_LONGEST = 100


@click.command(epilog=_EPILOG)
@click.argument("study")
@click.option(
    "--output",
    type=NonEmptyPath(dir_okay=False, path_type=Path),
    help="File to write (default: in the folder reports of the home).",
)
@click.pass_context
def command(ctx: click.Context, study: str, output: Path | None) -> None:
    """Write the report of STUDY, one HTML file that needs no network, and print its path."""
    from fairlead.errors import NextStep
    from fairlead.formatting import size
    from fairlead.report.material import load
    from fairlead.report.page import render

    with opened(ctx) as stores:
        found = stores.ledger.studies.get(study)
        material = load(found, stores)
    path = output or _default(found, settings(ctx))
    trials = command_line(NextStep(action="trials", arguments={"study": found.id}), anywhere=True)
    page = render(material, library=_plotly(), trials_command=trials)
    written = _write(path, page)
    note(f"study {found.id} ({found.name}): {_extent(found)}")
    note(f"{size(written)}, of which Plotly's library is {size(len(_plotly()))}")
    click.echo(printable(str(path)))


def _extent(study: Study) -> str:
    from fairlead.formatting import count

    at = study.finished
    return f"{count(study.size, 'trial')}, {f'finished {minute(at)} UTC' if at else 'not finished'}"


def _default(study: Study, options: Settings) -> Path:
    """A file of the folder of reports, whatever others have called the study."""
    digest, _, repetition = study.id.partition("-")
    parts = filter(None, (study.name, digest[:_DIGITS], repetition))
    return options.reports / f"{_OTHER.sub('_', '-'.join(parts))[-_LONGEST:]}.html"


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    library: str = get_plotlyjs()
    return library


def _write(path: Path, page: str) -> int:
    """Write the page whole or not at all; returns its size in bytes."""
    from fairlead.errors import Failed

    content = page.encode()
    try:
        atomic.write(path, content)
    except OSError as error:
        raise Failed(f"writing the report to {str(path)!r}: {error.strerror}") from error
    return len(content)
