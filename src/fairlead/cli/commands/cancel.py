"""`fairlead cancel`: a run ends, and its trials with it."""

from __future__ import annotations

import click

from fairlead.cli.context import opened
from fairlead.cli.output import json_option, note, print_json

_EPILOG = """\b
Example:
  fairlead cancel boston-prices --why "wrong data"
RUN is a run's id, the name in its spec, or the start of its study's id.
"""


@click.command(epilog=_EPILOG)
@click.argument("run")
@click.option("--why", default="", help="The reason, kept with the run.")
@json_option
@click.pass_context
def command(ctx: click.Context, run: str, why: str, *, as_json: bool) -> None:
    """End RUN: its tasks are withdrawn unless another run wants them; results are kept.

    Submitted or run again, the spec goes on where it was.
    """
    from fairlead.control.submitted import cancel, find

    with opened(ctx) as stores:
        found = find(stores.ledger, run, to_change=True)
        ended = cancel(stores.ledger, found, why)
    if found.state == "cancelled":
        reason = f": {found.reason}" if found.reason else " without a reason"
        note(f"nothing was changed: it had been cancelled before{reason}")
    if as_json:
        print_json(ended)
        return
    click.echo(f"{ended.id} cancelled")
