"""`fairlead logs`: what happened to a run's tasks, line by line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from fairlead.cli.context import opened
from fairlead.cli.output import json_option, print_json, second

if TYPE_CHECKING:
    from fairlead.records import Event

_EVERY = 0.5  # seconds between two looks

_EPILOG = """\b
Examples:
  fairlead logs boston-prices
  fairlead logs boston-prices --follow
  fairlead logs boston-prices --faults
RUN is a run's id, the name in its spec, or the start of its study's id.
"""


@click.command(epilog=_EPILOG)
@click.argument("run")
@click.option("--follow", is_flag=True, help="Go on with what happens until the run has ended.")
@click.option("--faults", is_flag=True, help="Only attempts that failed, and leases that ended.")
@json_option
@click.pass_context
def command(ctx: click.Context, run: str, *, follow: bool, faults: bool, as_json: bool) -> None:
    """Print the history of RUN's study: its attempts, by which worker, and why some ended.

    What a worker itself printed is in its own log, on its machine.
    """
    from fairlead.control.submitted import find, history

    if follow and as_json:
        raise click.UsageError("--follow and --json cannot be combined.")
    with opened(ctx) as stores:
        found = find(stores.ledger, run)
        lines = history(stores.ledger, found, faults=faults)
        if as_json:
            print_json(lines)
            return
        shown = 0
        while True:
            for line in lines[shown:]:
                click.echo(_in_words(line))
            shown = len(lines)
            if not follow or found.state != "running":
                return
            time.sleep(_EVERY)
            found = stores.ledger.runs.get(found.id)
            lines = history(stores.ledger, found, faults=faults)


def _in_words(event: Event) -> str:
    task = f"task {event.task} attempt {event.attempt} " if event.task is not None else ""
    by = f" by {event.worker}" if event.worker else ""
    text = f": {event.text}" if event.text else ""
    return f"{second(event.at)}  {task}{event.kind}{by}{text}"
