"""`fairlead schedules`: which champions are trained again regularly, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fairlead.cli.context import opened
from fairlead.cli.halts import in_words
from fairlead.cli.next_steps import program
from fairlead.cli.output import json_option, minute, note, print_json, print_table

if TYPE_CHECKING:
    from fairlead.control.schedules import ScheduleRow
    from fairlead.records import Schedule

_EPILOG = """\b
Examples:
  fairlead retrain boston-prices --every 1d --at 03:00
  fairlead schedules
  fairlead schedules pause boston-prices
  fairlead schedules remove boston-prices
"""
_UNITS = {"w": 7 * 86400, "d": 86400, "h": 3600, "m": 60}


@click.group(epilog=_EPILOG, invoke_without_command=True)
@json_option
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """List the schedules: how often, the next time, and what came of the last.

    `retrain MODEL --every 1d` makes or changes one; a controller begins what is due.
    """
    from fairlead.control.halts import overdue
    from fairlead.control.schedules import overview

    if ctx.invoked_subcommand is not None:
        return
    with opened(ctx) as stores:
        found = overview(stores.ledger)
        now = stores.ledger.now()
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one.schedule.model,
            interval(one.schedule.every),
            "paused" if one.schedule.paused else minute(one.schedule.due),
            one.schedule.source or "the champion's",
            _last(one),
            one.schedule.by,
        )
        for one in found
    ]
    print_table(
        ("model", "every", "next (UTC)", "data", "last", "by"),
        rows,
        unfolded=("model", "every", "next (UTC)"),
        spared=("by", "data"),
        empty=f"there is no schedule: `{program()} retrain MODEL --every 1d` makes one",
    )
    if late := overdue([one.schedule for one in found], now):
        note(f"{late[0].model} is overdue: {in_words('no_controller', 'schedules')}")


@command.command()
@click.argument("model")
@json_option
@click.pass_context
def pause(ctx: click.Context, model: str, *, as_json: bool) -> None:
    """Let MODEL's schedule wait.

    No run begins until it is resumed; one that has begun goes on.
    """
    from fairlead.control import schedules

    with opened(ctx) as stores:
        paused = schedules.pause(stores.ledger, model)
    _show(paused, "paused", as_json=as_json)


@command.command()
@click.argument("model")
@json_option
@click.pass_context
def resume(ctx: click.Context, model: str, *, as_json: bool) -> None:
    """Let MODEL's schedule go on.

    The next run begins at the next due time; those that have passed are left out.
    """
    from fairlead.control import schedules

    with opened(ctx) as stores:
        resumed = schedules.resume(stores.ledger, model)
    _show(resumed, f"resumed, next at {minute(resumed.due)} UTC", as_json=as_json)


@command.command()
@click.argument("model")
@click.pass_context
def remove(ctx: click.Context, model: str) -> None:
    """Remove MODEL's schedule.

    A run that it began goes on.
    """
    from fairlead.control import schedules

    with opened(ctx) as stores:
        schedules.remove(stores.ledger, model)
    click.echo(f"schedule of {model} removed")


def _show(schedule: Schedule, said: str, *, as_json: bool) -> None:
    if as_json:
        print_json(schedule)
    else:
        click.echo(f"schedule of {schedule.model} {said}")


def interval(seconds: float) -> str:
    """An interval as it is given: 30m, 6h, 1d, 1w."""
    for unit, size in _UNITS.items():
        if seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"


def _last(row: ScheduleRow) -> str | None:
    """What came of the last due time, and of the run where one began."""
    schedule, run = row.schedule, row.run
    if schedule.holder is not None:
        return "being begun"
    if schedule.outcome is None or schedule.noted is None:
        return None
    at = minute(schedule.noted)
    if schedule.outcome != "began" or run is None:
        return f"{at} {schedule.outcome}: {schedule.reason}"
    verdict = f": {run.verdict.decision}" if run.verdict is not None else ""
    reason = f": {run.reason}" if run.reason else ""
    return f"{at} run {run.id} {run.state}{verdict}{reason}"
