"""`fairlead fleet`: the workers that are alive, and what each does."""

from __future__ import annotations

import click

from fairlead.cli.context import opened
from fairlead.cli.output import json_option, note, print_json, print_table
from fairlead.formatting import size

_COLUMNS = ("worker", "host", "task", "for", "seen", "memory")


@click.command(epilog="\b\nExamples:\n  fairlead fleet\n  fairlead fleet --json\n")
@json_option
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """List the workers: where each runs, which task it has, since when, and when it was seen.

    Below: workers that were not heard of, and tasks that wait for a worker which none of these is.
    """
    from fairlead.control.fleet import fleet

    with opened(ctx) as stores:
        found = fleet(stores.ledger)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            member.worker.name,
            member.worker.host,
            member.doing,
            None if member.seconds is None else _seconds(member.seconds),
            f"{_seconds(found.now - member.worker.seen)} ago",
            size(member.worker.used),
        )
        for member in found.alive
    ]
    print_table(_COLUMNS, rows, unfolded=("for", "seen", "memory"), empty="no worker is alive")
    for worker in found.silent:
        note(f"not heard of for {_seconds(found.now - worker.seen)}: {worker.name}")
    for waiting in found.unserved:
        note(waiting)


def _seconds(seconds: float) -> str:
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{max(0, round(seconds))} s"
    return f"{round(seconds / 60)} min"
