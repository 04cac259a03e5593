"""`fairlead undo`: the previous route is in force again."""

from __future__ import annotations

import click

from fairlead.cli.context import opened, settings
from fairlead.cli.deployment_progress import Reporter
from fairlead.cli.options import token_option, why_option
from fairlead.cli.output import json_option, note, print_json

_EPILOG = """\b
Example:
  fairlead undo boston-prices --why "prices too low since noon"
"""


@click.command(epilog=_EPILOG)
@click.argument("model")
@why_option
@token_option
@json_option
@click.pass_context
def command(ctx: click.Context, *, model: str, why: str, token: str | None, as_json: bool) -> None:
    """Restore the traffic of MODEL as it was before the present route, at once.

    Goes back to the nearest route that shares the traffic otherwise and is not a step of a canary;
    another undo goes further back. A running deployment ends with all of its steps; where it has no
    traffic yet, it only ends and the route stays.

    What comes back is verified first, which takes no time where it was checked before. Then every
    server must follow, and the live endpoint is smoke-tested; where that fails, the exit status
    is 1, and the route before is in force again, unless a server did not follow that either, or it
    was a step of a canary. The champion does not change: `fairlead rollback` changes it.
    """
    from fairlead.control.routes import Access, undo
    from fairlead.records import Route

    access = Access(checks=settings(ctx).checked, token=token)
    with opened(ctx) as stores:
        undone = undo(stores, model, why, access=access, on_event=Reporter(echo_route=not as_json))
    if as_json:
        route, ended = (undone, None) if isinstance(undone, Route) else (None, undone)
        print_json({"model": model, "route": route, "deployment": ended})
    elif not isinstance(undone, Route):
        click.echo(f"{model}: deployment {undone.number} of {undone.revision} ended")
        note("it had no traffic yet: the route stays as it is")
