"""`fairlead resume`: the tasks of a run are taken again."""

from __future__ import annotations

import click

from fairlead.cli.context import opened
from fairlead.cli.output import note


@click.command(epilog="\b\nExample:\n  fairlead resume boston-prices\n")
@click.argument("run")
@click.pass_context
def command(ctx: click.Context, run: str) -> None:
    """Let the tasks of RUN be taken again."""
    from fairlead.control.submitted import beside, find, resume

    with opened(ctx) as stores:
        changed = resume(stores.ledger, find(stores.ledger, run, to_change=True))
        others = beside(stores.ledger, changed)
    click.echo(f"{changed.id} resumed")
    for other in others:
        note(f"run {other.id} has the same tasks: it goes on, too")
