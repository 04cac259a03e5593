"""`fairlead runs`: the runs of this ledger."""

from __future__ import annotations

import click

from fairlead.cli.context import opened
from fairlead.cli.output import json_option, minute, print_json, print_table

_COLUMNS = ("run", "name", "state", "stage", "trials", "carried by", "began (UTC)")


@click.command(epilog="\b\nExamples:\n  fairlead runs\n  fairlead runs --json\n")
@json_option
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """List the runs, the newest first: how far each is, and which process carries it."""
    from fairlead.control.submitted import overview

    with opened(ctx) as stores:
        found = overview(stores.ledger)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one.run.id,
            one.study,
            "paused" if one.paused and one.run.state == "running" else one.run.state,
            one.run.stage,
            f"{one.ended} of {one.size}",
            one.run.holder,
            minute(one.run.began),
        )
        for one in found
    ]
    print_table(
        _COLUMNS, rows, unfolded=("run", "name", "began (UTC)"), empty="there is no run yet"
    )
