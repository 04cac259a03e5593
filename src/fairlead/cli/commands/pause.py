"""`fairlead pause`: the ready tasks of a run wait."""

from __future__ import annotations

import click

from fairlead.cli.context import opened
from fairlead.cli.output import json_option, note, print_json


@click.command(epilog="\b\nExample:\n  fairlead pause boston-prices\n")
@click.argument("run")
@json_option
@click.pass_context
def command(ctx: click.Context, run: str, *, as_json: bool) -> None:
    """Let the ready tasks of RUN wait until `resume`; running ones go on."""
    from fairlead.control.submitted import beside, find, pause

    with opened(ctx) as stores:
        changed = pause(stores.ledger, find(stores.ledger, run, to_change=True))
        others = beside(stores.ledger, changed)
    if as_json:
        print_json(changed)
    else:
        click.echo(f"{changed.id} paused")
    for other in others:
        note(f"run {other.id} has the same tasks: it waits, too")
