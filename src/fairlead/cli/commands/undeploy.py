"""`fairlead undeploy`: a model is taken out of service."""

from __future__ import annotations

import click

from fairlead.cli.context import opened
from fairlead.cli.deployment_progress import Reporter
from fairlead.cli.options import why_option
from fairlead.cli.output import json_option, print_json

_EPILOG = """\b
Example:
  fairlead undeploy boston-prices --why "nobody asks for it any more"
"""


@click.command(epilog=_EPILOG)
@click.argument("model")
@why_option
@json_option
@click.pass_context
def command(ctx: click.Context, *, model: str, why: str, as_json: bool) -> None:
    """Take MODEL out of service: requests for it are answered 503, with the reason.

    Requests in hand are finished, and servers unload its revisions. A running deployment ends.
    `fairlead undo` restores the traffic; `fairlead deploy` deploys a version as if it
    were the first. Waits until every server follows.
    """
    from fairlead.control.routes import undeploy

    with opened(ctx) as stores:
        route = undeploy(stores, model, why, on_event=Reporter(echo_route=not as_json))
    if as_json:
        print_json({"model": model, "route": route})
