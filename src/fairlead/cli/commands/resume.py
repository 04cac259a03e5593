"""`fairlead resume`: the tasks of a run are taken again."""

from __future__ import annotations

import click

from fairlead.cli.context import opened
from fairlead.cli.output import json_option, note, print_json


@click.command(epilog="\b\nExample:\n  fairlead resume boston-prices\n")
@click.argument("run")
@json_option
@click.pass_context
def command(ctx: click.Context, run: str, *, as_json: bool) -> None:
    """Let the tasks of RUN be taken again."""
    from fairlead.control.submitted import beside, find, resume

    with opened(ctx) as stores:
        changed = resume(stores.ledger, find(stores.ledger, run, to_change=True))
        others = beside(stores.ledger, changed)
    if as_json:
        print_json(changed)
    else:
        click.echo(f"{changed.id} resumed")
    for other in others:
        note(f"run {other.id} has the same tasks: it goes on, too")
