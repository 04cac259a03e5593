"""`fairlead undo`: the previous route is in force again."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from fairlead.cli.context import opened
from fairlead.cli.live import settle_or_take_back, shares, token_option
from fairlead.cli.output import json_option, note, print_json, settings
from fairlead.errors import Invalid

if TYPE_CHECKING:
    from fairlead.artifacts import Artifacts
    from fairlead.ledger.interface import Ledger
    from fairlead.records import Deployment
    from fairlead.rollout.routes import Approve

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
    yet only ends: the route stays.

    What comes back is proved first, which takes no time where a check of it is known. Waits until
    every server follows, then asks the endpoint its golden rows; where that fails, the exit status
    is 1, and the route before is in force again, unless a server did not follow that either, or it
    was a step of a canary. The champion stays who it is: `fairlead rollback`
    is for that.
    """
    if not why.strip():
        raise Invalid("--why must say why: it is all that the history will tell")
    with opened(ctx) as (ledger, artifacts):
        ended = _cancelled(ledger, model, why)
        if ended is None:
            approve = approving(ctx, ledger, artifacts)
            _undo(ledger, artifacts, model, why, token, approve=approve, as_json=as_json)
        elif as_json:
            print_json({"model": model, "route": None, "deployment": ended})
        else:
            click.echo(f"{model}: deployment {ended.number} of {ended.revision} ended")
            note("it had no traffic yet: the route stays as it is")


def approving(ctx: click.Context, ledger: Ledger, artifacts: Artifacts) -> Approve:
    """Lets a route be written only if what it would bring into service is good."""
    from fairlead.rollout.preflight import verify_route
    from fairlead.rollout.verification import CheckCache

    return partial(verify_route, ledger, artifacts, CheckCache(settings(ctx).checked))


def _cancelled(ledger: Ledger, model: str, why: str) -> Deployment | None:
    """The deployment that ended before it had traffic, and that nothing else is to be undone for.

    None where none was so young, or the route in force is a step of one that it superseded.
    """
    from fairlead.errors import Conflict
    from fairlead.rollout.routes import cancel_deployment, running_deployment
    from fairlead.rollout.undo import is_superseded_step

    deployment = running_deployment(ledger, model)
    if deployment is None or deployment.step >= 0:
        return None
    if is_superseded_step(ledger.routes.current(model), deployment.base):
        return None
    try:
        return cancel_deployment(ledger, deployment, why)
    except Conflict:  # it has ended, or has traffic by now, which is there to be undone
        return None


def _undo(  # noqa: PLR0913 - the command's own arguments
    ledger: Ledger,
    artifacts: Artifacts,
    model: str,
    why: str,
    token: str | None,
    *,
    approve: Approve,
    as_json: bool,
) -> None:
    from fairlead.rollout.routes import undo
    from fairlead.rollout.wait import following_current

    before, followed = ledger.routes.current(model), following_current(ledger, model)
    route = undo(ledger, artifacts, model, why, approve=approve)
    if not as_json:
        click.echo(f"{model}: route {route.number}, {shares(route)} (was {shares(before)})")
    settle_or_take_back(ledger, artifacts, route, followed=followed, token=token)
    if as_json:
        print_json({"model": model, "route": route, "deployment": None})
