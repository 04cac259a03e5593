"""`fairlead undeploy`: a model is taken out of service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fairlead.cli.context import opened
from fairlead.cli.live import settle, shares
from fairlead.cli.output import json_option, note, print_json
from fairlead.errors import Invalid

if TYPE_CHECKING:
    from fairlead.artifacts import Artifacts
    from fairlead.ledger.interface import Ledger
    from fairlead.records import Route

_EPILOG = """\b
Example:
  fairlead undeploy boston-prices --why "nobody asks for it any more"
"""


@click.command(epilog=_EPILOG)
@click.argument("model")
@click.option("--why", required=True, help="Goes into the history, and to whoever asks the model.")
@json_option
@click.pass_context
def command(ctx: click.Context, *, model: str, why: str, as_json: bool) -> None:
    """Take MODEL out of service: from then on, requests for it are answered 503.

    Requests in hand are finished, and servers let its revisions go. A deployment that runs ends.
    `fairlead undo` gives the traffic back as it was; `fairlead deploy` brings a version in as if it
    were the first. Waits until every server follows.
    """
    if not why.strip():
        raise Invalid("--why must say why: it is all that the history and clients will be told")
    with opened(ctx) as (ledger, artifacts):
        route = _written(ledger, artifacts, model, why, as_json=as_json)
        settle(ledger, artifacts, route, token=None)
    if as_json:
        print_json({"model": model, "route": route})


def _written(ledger: Ledger, artifacts: Artifacts, model: str, why: str, *, as_json: bool) -> Route:
    """The route that takes it out of service, or has done so before."""
    from fairlead.rollout.routes import running_deployment, undeploy
    from fairlead.rollout.traffic_split import out_of_service_reason

    before = ledger.routes.current(model)
    if before is not None and not (before.traffic or running_deployment(ledger, model)):
        note(f"{model} is {out_of_service_reason(before)}; nothing was written")
        return before
    route = undeploy(ledger, artifacts, model, why)
    if not as_json:
        click.echo(f"{model}: route {route.number}, {shares(route)} (was {shares(before)})")
    return route
