"""`fairlead promote`: a person makes a version the champion."""

from __future__ import annotations

import click

from fairlead.cli.context import opened, settings
from fairlead.cli.deployment_progress import note_unchanged
from fairlead.cli.options import VersionNumber, why_option
from fairlead.cli.output import json_option, note, print_json


@click.command(
    epilog='\b\nExample:\n  fairlead promote boston-prices 3 --why "agreed with sales"\n'
)
@click.argument("model")
@click.argument("version", type=VersionNumber())
@why_option
@json_option
@click.pass_context
def command(ctx: click.Context, *, model: str, version: int, why: str, as_json: bool) -> None:
    """Make VERSION the champion of MODEL, whatever the gate said.

    A version without an ONNX form, or whose ONNX form does not predict what was trained, cannot
    become champion. What is live stays live: `fairlead deploy` changes that.
    """
    from fairlead.control.models import promote

    with opened(ctx) as stores:
        promoted = promote(stores, settings(ctx), model, version, why=why)
    if as_json:
        print_json({"promotion": promoted.promotion})
    if promoted.promotion is None:
        note(f"v{version} is the champion of {model!r} already: nothing was written")
        return
    previous = promoted.promotion.previous
    if not as_json:
        was = f"was v{previous}" if previous else "the first"
        click.echo(f"{model}: champion v{version} ({was})")
    note_unchanged(promoted)
