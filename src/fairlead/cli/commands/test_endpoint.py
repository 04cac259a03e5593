"""`fairlead test-endpoint`: the live endpoint of a model is smoke-tested."""

from __future__ import annotations

from dataclasses import asdict

import click

from fairlead.cli.context import opened
from fairlead.cli.deployment_progress import passed
from fairlead.cli.options import token_option
from fairlead.cli.output import json_option, print_json

_EPILOG = """\b
Examples:
  fairlead test-endpoint boston-prices
  fairlead test-endpoint boston-prices --url https://models.example.com
"""


@click.command(epilog=_EPILOG)
@click.argument("model")
@click.option("--url", help="URL of the server (default: each server that runs here for MODEL).")
@token_option
@json_option
@click.pass_context
def command(
    ctx: click.Context, *, model: str, url: str | None, token: str | None, as_json: bool
) -> None:
    """Smoke-test the live endpoint of MODEL with its golden rows.

    Golden rows are rows of the holdout with the predictions of the exported model when it was made.
    Each revision of the route is requested by name, with all rows at once and with the first one
    alone; then the route is. Every number must be the same. The exit status is 1 at the first
    difference.
    """
    from fairlead.control.endpoints import refuse_difference, smoke_test_endpoints

    with opened(ctx) as stores:
        found = smoke_test_endpoints(stores, model, url=url, token=token)
    if as_json:
        tests = [
            {"url": at, "ok": not each.difference, **asdict(each)} for at, each in found.items()
        ]
        print_json({"model": model, "tests": tests})
    for at, each in found.items():
        refuse_difference(each, model, at)
        if not as_json:
            click.echo(passed(at, each.seconds))
