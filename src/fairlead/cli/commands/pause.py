"""`fairlead pause`: the ready tasks of a run wait."""

from __future__ import annotations

import click

from fairlead.cli.context import opened
from fairlead.cli.output import note


@click.command(epilog="\b\nExample:\n  fairlead pause boston-prices\n")
@click.argument("run")
@click.pass_context
def command(ctx: click.Context, run: str) -> None:
    """Let the ready tasks of RUN wait until `resume`; running ones go on."""
    from fairlead.control.submitted import beside, find, pause

    with opened(ctx) as stores:
        changed = pause(stores.ledger, find(stores.ledger, run, to_change=True))
        others = beside(stores.ledger, changed)
    click.echo(f"{changed.id} paused")
    for other in others:
        note(f"run {other.id} has the same tasks: it waits, too")
