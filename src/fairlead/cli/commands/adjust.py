"""`fairlead adjust`: how many trials a run has, and how urgent it is."""

from __future__ import annotations

import click

from fairlead.cli.context import opened
from fairlead.cli.options import PRIORITY
from fairlead.cli.output import json_option, note, print_json

_EPILOG = """\b
Examples:
  fairlead adjust boston-prices --trials 200
  fairlead adjust boston-prices --priority 10
RUN is a run's id, the name in its spec, or the start of its study's id.
"""


@click.command(epilog=_EPILOG)
@click.argument("run")
@click.option("--trials", type=click.IntRange(1, 1_000_000), help="Trials that it is to have.")
@click.option("--priority", type=PRIORITY, help="Of its tasks.")
@json_option
@click.pass_context
def command(
    ctx: click.Context, run: str, trials: int | None, priority: int | None, *, as_json: bool
) -> None:
    """Change RUN while it goes on.

    Another number of trials is another run of the same study: all that is there is kept, and the
    run that it replaces is cancelled.
    """
    from fairlead.control.submitted import adjust, find

    with opened(ctx) as stores:
        before = find(stores.ledger, run, to_change=True)
        changed = adjust(stores.ledger, before, trials=trials, priority=priority)
    if as_json:
        print_json(changed)
        return
    click.echo(changed.id)
    if changed.id != before.id:
        note(f"{before.id} is cancelled: {changed.id} goes on with {trials} trials")
