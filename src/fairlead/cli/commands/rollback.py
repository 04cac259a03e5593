"""`fairlead rollback`: the previous champion is the champion again."""

from __future__ import annotations

import click

from fairlead.cli.context import opened
from fairlead.cli.live import tell_unchanged
from fairlead.cli.output import settings


@click.command(epilog='\b\nExample:\n  fairlead rollback boston-prices --why "too low on Monday"\n')
@click.argument("model")
@click.option("--why", required=True, help="Goes into the history.")
@click.pass_context
def command(ctx: click.Context, *, model: str, why: str) -> None:
    """Make the previous champion of MODEL the champion again.

    Another rollback goes one champion further back. The version that was taken down stays in the
    registry, and only a person brings it back: the gate does not. What is live stays live:
    `fairlead undo` and `fairlead deploy` change that.
    """
    from fairlead.registry.mlflow import start_mirror
    from fairlead.registry.registry import Registry

    with opened(ctx) as (ledger, artifacts):
        promotion = Registry(ledger, artifacts).rollback(model, why=why)
        click.echo(f"{model}: champion v{promotion.version} (was v{promotion.previous})")
        tell_unchanged(ledger, model, promotion.version)
    start_mirror(settings(ctx))
