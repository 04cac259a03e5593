"""`fairlead plan`: what a run would do, and how long it would take."""

from __future__ import annotations

from pathlib import Path

import click

from fairlead.cli.context import settings
from fairlead.cli.options import spec_options
from fairlead.cli.output import json_option, note, print_fields, print_json

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

    Nothing is written. One fit is timed, on one fold; the estimate covers the search alone.
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
