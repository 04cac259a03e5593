"""`fairlead retrain`: the champion's spec on today's data, through the gate."""

from __future__ import annotations

from pathlib import Path

import click

from fairlead.cli.context import settings
from fairlead.cli.interrupts import counted
from fairlead.cli.next_steps import program
from fairlead.cli.output import json_option, note, print_json

_EPILOG = """\b
Examples:
  fairlead retrain boston-prices
  fairlead retrain prices --data prices-november.parquet --deploy
"""


@click.command(epilog=_EPILOG)
@click.argument("model")
@click.option("--data", "source", help="Where the data is (default: where the champion's was).")
@click.option("--deploy", is_flag=True, help="If it becomes champion, have it deployed and tested.")
@json_option
@click.pass_context
def command(
    ctx: click.Context, model: str, source: str | None, *, deploy: bool, as_json: bool
) -> None:
    """Submit the champion of MODEL again: its spec and its code, on the data as it is today.

    A controller carries the run, as of `submit`; the version becomes champion only if the gate
    lets it. A path starts from the current folder.
    """
    from fairlead.cli.progress import watching
    from fairlead.control.submitted import retrain

    with counted(keeps=False) as stop, watching(quiet=False) as watch:
        run = retrain(
            model,
            settings(ctx),
            source=source,
            base=Path.cwd(),
            deploy=deploy,
            watch=watch,
            stop=stop,
        )
    if as_json:
        print_json(run)
    else:
        click.echo(run.id)
        note(f"`{program()} watch {run.id}` shows its progress")
