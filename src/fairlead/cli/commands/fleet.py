"""`fairlead fleet`: the workers that are alive, and what each does."""

from __future__ import annotations

import click

from fairlead.cli.context import opened
from fairlead.cli.decisions import decision_line
from fairlead.cli.output import json_option, note, print_json, print_table, printable
from fairlead.formatting import size

_DECISIONS = 50  # that are printed
_COLUMNS = ("worker", "host", "task", "for", "seen", "memory")


_EPILOG = """\b
Examples:
  fairlead fleet
  fairlead fleet --json
  fairlead fleet --decisions   why there are as many workers as there are
"""


@click.command(epilog=_EPILOG)
@click.option("--decisions", is_flag=True, help="The last 50 decisions of autoscalers instead.")
@json_option
@click.pass_context
def command(ctx: click.Context, *, decisions: bool, as_json: bool) -> None:
    """List the workers: where each runs, which task it has, since when, and when it was seen.

    Below: workers that were not heard of, and tasks that wait for a worker which none of these is.
    """
    from fairlead.control.fleet import fleet

    if decisions:
        _show_decisions(ctx, as_json=as_json)
        return
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
    print_table(
        _COLUMNS,
        rows,
        unfolded=("worker", "for", "seen", "memory"),
        spared=("memory", "host"),
        empty="no worker is alive",
    )
    for worker in found.silent:
        note(f"not heard of for {_seconds(found.now - worker.seen)}: {worker.name}")
    for waiting in found.unserved:
        note(waiting)


def _show_decisions(ctx: click.Context, *, as_json: bool) -> None:
    """Print the last decisions, the oldest first."""
    with opened(ctx) as stores:
        found = [*reversed(stores.ledger.autoscaling.decisions(limit=_DECISIONS))]
    if as_json:
        print_json(found)
        return
    several = len({decision.autoscaler for decision in found}) > 1
    for decision in found:
        line = decision_line(decision)
        click.echo(f"{printable(decision.autoscaler)}  {line}" if several else line)
    if not found:
        note("no autoscaler has decided anything yet")


def _seconds(seconds: float) -> str:
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{max(0, round(seconds))} s"
    return f"{round(seconds / 60)} min"
