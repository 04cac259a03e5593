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


@click.command(epilog="\b\nExamples:\n  fairlead runs\n  fairlead runs --json\n")
@json_option
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """List the runs, the newest first: how far each is, and which process carries it.

    A narrow terminal has no room for the last: --json has all of it.
    """
    from fairlead.cli.halts import in_words
    from fairlead.control.halts import abandoned, unserved
    from fairlead.control.submitted import overview

    with opened(ctx) as stores:
        found = overview(stores.ledger)
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
        empty="there is no run yet",
    )
    if orphans:
        note(in_words("no_controller", f"run {orphans[0].id}{_more(len(orphans) - 1)}"))
    if lacks_workers:
        note(in_words("no_worker"))


def _state(row: RunRow) -> str:
    """Its state, and its priority where it has another than most."""
    state = "paused" if row.paused and row.run.state == "running" else row.run.state
    return f"{state}, priority {row.priority}" if row.priority else state


def _more(others: int) -> str:
    return f" and {count(others, 'other')}" if others else ""
