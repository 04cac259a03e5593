"""`fairlead plan`: what a run would do, and how long it would take."""

from __future__ import annotations

from pathlib import Path

import click

from fairlead.cli.context import settings
from fairlead.cli.options import spec_options
from fairlead.cli.output import json_option, note, print_fields, print_json, print_table

_SHOWN = 40  # columns of the data
_EPILOG = """\b
Examples:
  fairlead plan examples/boston.yaml
  fairlead plan examples/boston.yaml --no-timing --json
"""


@click.command(epilog=_EPILOG)
@spec_options
@click.option("--timing/--no-timing", default=True, help="Time one fit for the estimate.")
@json_option
@click.pass_context
def command(  # noqa: PLR0913 - click passes each option by name
    ctx: click.Context,
    spec: Path,
    workers: int | None,
    sets: tuple[str, ...],
    *,
    timing: bool,
    as_json: bool,
) -> None:
    """Show what a run of SPEC would do: trials, tasks, fits saved, rows, and an estimate.

    A table shows how each column is read, its missing values, and the columns that a model gets of
    it. Nothing is written. One fit is timed, on one fold; the estimate covers the search alone.
    """
    from fairlead.spec.load import load
    from fairlead.study.forecast import forecast

    options = settings(ctx)
    loaded = load(spec, sets=sets)
    with loaded.located():
        answer = forecast(
            loaded.spec, base=loaded.base, settings=options, workers=workers, timing=timing
        )
    for remark in answer.remarks:
        note(remark)
    if as_json:
        print_json(answer)
    else:
        print_fields(answer.in_words())
        click.echo()
        shown = answer.reading[:_SHOWN]
        print_table(
            ("column", "read as", "missing", "encoding", "columns", "values"),
            [(c.name, c.read_as, c.missing, c.encoding, c.columns, c.values) for c in shown],
        )
        if more := len(answer.reading) - len(shown):
            note(f"{more} more columns; --json shows all")
