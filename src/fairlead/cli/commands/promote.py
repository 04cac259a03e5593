"""`fairlead promote`: a person makes a version the champion."""

from __future__ import annotations

import click

from fairlead.cli.context import opened
from fairlead.cli.live import tell_unchanged
from fairlead.cli.options import VersionNumber
from fairlead.cli.output import note, settings


@click.command(
    epilog='\b\nExample:\n  fairlead promote boston-prices 3 --why "agreed with sales"\n'
)
@click.argument("model")
@click.argument("version", type=VersionNumber())
@click.option("--why", required=True, help="Goes into the history.")
@click.pass_context
def command(ctx: click.Context, *, model: str, version: int, why: str) -> None:
    """Make VERSION the champion of MODEL, whatever the gate said.

    A version without an ONNX form, or whose ONNX form predicts something else than what was
    trained, cannot become champion. What is live stays live: `fairlead deploy` changes that.
    """
    from fairlead.registry.mlflow import start_mirror
    from fairlead.registry.registry import Registry

    with opened(ctx) as (ledger, artifacts):
        promotion = Registry(ledger, artifacts).promote(model, version, why=why)
        if promotion is None:
            note(f"v{version} is the champion of {model!r} already: nothing was written")
            return
        was = f"was v{promotion.previous}" if promotion.previous else "the first"
        click.echo(f"{model}: champion v{promotion.version} ({was})")
        tell_unchanged(ledger, model, promotion.version)
    start_mirror(settings(ctx))
