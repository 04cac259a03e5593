"""`fairlead runs`: the runs of this ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fairlead.cli.context import opened
from fairlead.cli.output import json_option, minute, note, print_json, print_table
from fairlead.formatting import count

if TYPE_CHECKING:
    from fairlead.control.submitted import RunRow

_COLUMNS = ("run", "name", "state", "stage", "trials", "carried by", "began (UTC)")


_STATES = ("running", "paused", "done", "failed", "cancelled")
_EPILOG = """\b
Examples:
  fairlead runs
  fairlead runs --state running --state paused
  fairlead runs --name boston-prices --json
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--state",
    "states",
    type=click.Choice(_STATES),
    multiple=True,
    help="Only runs in this state; may be given several times.",
)
@click.option("--name", help="Only runs whose spec has this name.")
@json_option
@click.pass_context
def command(
    ctx: click.Context, states: tuple[str, ...], name: str | None, *, as_json: bool
) -> None:
    """List the runs, the newest first: how far each is, and which process carries it.

    Trials are those that the run wants: its study may have more. A narrow terminal has no room
    for all columns: --json has all of it.
    """
    from fairlead.cli.halts import in_words
    from fairlead.control.halts import abandoned, unserved
    from fairlead.control.submitted import overview

    with opened(ctx) as stores:
        found = [
            row
            for row in overview(stores.ledger)
            if (not states or row.state in states) and name in {None, row.study}
        ]
        orphans = [] if as_json else abandoned(stores.ledger)
        lacks_workers = not as_json and unserved(stores.ledger)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one.run.id,
            one.study,
            _state(one),
            one.run.stage,
            f"{one.ended} of {one.size}",
            one.run.holder,
            minute(one.run.began),
        )
        for one in found
    ]
    print_table(
        _COLUMNS,
        rows,
        unfolded=("run", "began (UTC)"),
        spared=("carried by", "stage"),
        empty="there is no such run" if states or name else "there is no run yet",
    )
    if orphans:
        note(in_words("no_controller", f"run {orphans[0].id}{_more(len(orphans) - 1)}"))
    if lacks_workers:
        note(in_words("no_worker"))


def _state(row: RunRow) -> str:
    """Its state, and its priority where it has another than most."""
    return f"{row.state}, priority {row.priority}" if row.priority else row.state


def _more(others: int) -> str:
    return f" and {count(others, 'other')}" if others else ""
