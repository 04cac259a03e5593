"""`fairlead resume`: the tasks of a run are taken again."""

from __future__ import annotations

import click

from fairlead.cli.output import json_option


@click.command(epilog="\b\nExample:\n  fairlead resume boston-prices\n")
@click.argument("run")
@json_option
@click.pass_context
def command(ctx: click.Context, run: str, *, as_json: bool) -> None:
    """Let the tasks of RUN be taken again."""
    from fairlead.cli.commands.pause import change_tasks
    from fairlead.control.submitted import resume

    change_tasks(ctx, run, resume, said="resumed", of_others="it goes on", as_json=as_json)
