"""`fairlead undo`: the previous route is in force again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fairlead.cli.live import settle, shares, token_option
from fairlead.cli.opened import opened
from fairlead.cli.output import json_option, note, print_json
from fairlead.errors import Invalid

if TYPE_CHECKING:
    from fairlead.artifacts import Artifacts
    from fairlead.ledger.ledger import Ledger
    from fairlead.records import Deployment

_EPILOG = """\b
Example:
  fairlead undo boston-prices --why "prices too low since noon"
"""


@click.command(epilog=_EPILOG)
@click.argument("model")
@click.option("--why", required=True, help="Goes into the history.")
@token_option
@json_option
@click.pass_context
def command(ctx: click.Context, *, model: str, why: str, token: str | None, as_json: bool) -> None:
    """Share the traffic of MODEL again as it was before the present route, at once.

    Goes back to the nearest route that shares it otherwise and is no step of a canary; another undo
    goes further back. A deployment that runs ends with all of its steps; one that has no traffic
    yet only ends: the route stays. Waits until every server
    follows, then asks the endpoint its golden rows. The champion stays who it is: `fairlead
    rollback` is for that.
    """
    if not why.strip():
        raise Invalid("--why must say why: it is all that the history will tell")
    with opened(ctx) as (ledger, artifacts):
        ended = _cancelled(ledger, model, why)
        if ended is None:
            _undo(ledger, artifacts, model, why, token, as_json=as_json)
        elif as_json:
            print_json({"model": model, "route": None, "deployment": ended})
        else:
            click.echo(f"{model}: deployment {ended.number} of {ended.revision} ended")
            note("it had no traffic yet: the route stays as it is")


def _cancelled(ledger: Ledger, model: str, why: str) -> Deployment | None:
    """The deployment that ended before it had traffic; None where none was so young."""
    from fairlead.deployment.changes import cancel, running
    from fairlead.errors import Conflict

    deployment = running(ledger, model)
    if deployment is None or deployment.step >= 0:
        return None
    try:
        return cancel(ledger, deployment, why)
    except Conflict:  # it has ended, or has traffic by now, which is there to be undone
        return None


def _undo(  # noqa: PLR0913 - the command's own arguments
    ledger: Ledger, artifacts: Artifacts, model: str, why: str, token: str | None, *, as_json: bool
) -> None:
    from fairlead.deployment.changes import undo

    before = ledger.routes.current(model)
    route = undo(ledger, artifacts, model, why)
    if as_json:
        print_json({"model": model, "route": route, "deployment": None})
    else:
        click.echo(f"{model}: route {route.number}, {shares(route)} (was {shares(before)})")
    settle(ledger, artifacts, route, token=token)
