"""`fairlead resume`: the tasks of a run are taken again."""

from __future__ import annotations

import click

from fairlead.cli.context import opened


@click.command(epilog="\b\nExample:\n  fairlead resume boston-prices\n")
@click.argument("run")
@click.pass_context
def command(ctx: click.Context, run: str) -> None:
    """Let the tasks of RUN be taken again."""
    from fairlead.control.submitted import find, resume

    with opened(ctx) as stores:
        changed = resume(stores.ledger, find(stores.ledger, run))
    click.echo(f"{changed.id} resumed")
