"""`fairlead pause`: the ready tasks of a run wait."""

from __future__ import annotations

import click

from fairlead.cli.context import opened


@click.command(epilog="\b\nExample:\n  fairlead pause boston-prices\n")
@click.argument("run")
@click.pass_context
def command(ctx: click.Context, run: str) -> None:
    """Let the ready tasks of RUN wait until `resume`; running ones go on."""
    from fairlead.control.submitted import find, pause

    with opened(ctx) as stores:
        changed = pause(stores.ledger, find(stores.ledger, run))
    click.echo(f"{changed.id} paused")
