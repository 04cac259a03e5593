"""`fairlead rollback`: the previous champion is the champion again."""

from __future__ import annotations

import click

from fairlead.cli.context import opened, settings
from fairlead.cli.deployment_progress import note_unchanged
from fairlead.cli.options import why_option
from fairlead.cli.output import json_option, print_json


@click.command(epilog='\b\nExample:\n  fairlead rollback boston-prices --why "too low on Monday"\n')
@click.argument("model")
@why_option
@json_option
@click.pass_context
def command(ctx: click.Context, *, model: str, why: str, as_json: bool) -> None:
    """Make the previous champion of MODEL the champion again.

    Another rollback goes one champion further back. The version that was replaced stays in the
    registry, and only a person can promote it again: the gate does not. What is live stays live:
    `fairlead undo` and `fairlead deploy` change that.
    """
    from fairlead.control.models import roll_back

    with opened(ctx) as stores:
        rolled_back = roll_back(stores, settings(ctx), model, why=why)
    assert rolled_back.promotion is not None  # a rollback always changes the champion
    promotion = rolled_back.promotion
    if as_json:
        print_json({"promotion": promotion})
    else:
        click.echo(f"{model}: champion v{promotion.version} (was v{promotion.previous})")
    note_unchanged(rolled_back)
