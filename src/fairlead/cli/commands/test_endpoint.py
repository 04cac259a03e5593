"""`fairlead test-endpoint`: what is live, asked through its address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from fairlead.cli.context import opened
from fairlead.cli.live import asked, passed, refuse_difference, token_option
from fairlead.cli.output import json_option, print_json
from fairlead.errors import Failed

if TYPE_CHECKING:
    from fairlead.ledger.interface import Ledger
    from fairlead.rollout.smoke_test import SmokeTestResult

_EPILOG = """\b
Examples:
  fairlead test-endpoint boston-prices
  fairlead test-endpoint boston-prices --url https://models.example.com
"""


@click.command(epilog=_EPILOG)
@click.argument("model")
@click.option("--url", help="Of the server (default: every server that runs here for the model).")
@token_option
@json_option
@click.pass_context
def command(
    ctx: click.Context, *, model: str, url: str | None, token: str | None, as_json: bool
) -> None:
    """Send the golden rows of what is live of MODEL through its address.

    They are rows of the holdout with the predictions of the exported model when it was made. Each
    revision of the route is asked by name, all rows at once and the first one alone; then the
    route is asked. Every number must be the same. The exit status is 1 at the first difference.
    """
    with opened(ctx) as (ledger, artifacts):
        urls = [url] if url else _urls(ledger, model)
        found = {each: asked(ledger, artifacts, model, url=each, token=token) for each in urls}
    if as_json:
        print_json({"model": model, "tests": [_fields(*each) for each in found.items()]})
    for each, answered in found.items():
        refuse_difference(answered, model, each)
        if not as_json:
            click.echo(passed(answered, each))


def _urls(ledger: Ledger, model: str) -> Sequence[str]:
    from fairlead.rollout.wait import route_in_service, servers_of, wait_until_followed

    wait_until_followed(ledger, route_in_service(ledger, model), timeout=5.0)
    urls = [server.url for server in servers_of(ledger, model)]
    if not urls:
        raise Failed(
            f"testing {model!r}: no server of this home runs for it; start `fairlead serve "
            f"{model}`, or name an address with --url"
        )
    return urls


def _fields(url: str, answered: SmokeTestResult) -> dict[str, object]:
    return {"url": url, "ok": not answered.difference, **asdict(answered)}
