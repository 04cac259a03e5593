"""`fairlead retrain`: the champion's spec on today's data, through the gate."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fairlead.cli.context import opened, settings
from fairlead.cli.interrupts import counted
from fairlead.cli.next_steps import program
from fairlead.cli.options import TimeSpan, priority_option
from fairlead.cli.output import json_option, minute, note, print_json

if TYPE_CHECKING:
    from fairlead.control.retraining import Retraining

_EPILOG = """\b
Examples:
  fairlead retrain boston-prices
  fairlead retrain prices --data prices-november.parquet --deploy
  fairlead retrain prices --every 1d --at 03:00
  fairlead schedules
"""


class TimeOfDay(click.ParamType[int]):
    """Minutes since midnight, as 03:00."""

    name = "time"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """The minutes."""
        found = re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", str(value), re.ASCII)
        if found is None:
            self.fail(f"{value!r}: give a time of the day in UTC, such as 03:00.", param, ctx)
        return 60 * int(found[1]) + int(found[2])


@click.command(epilog=_EPILOG)
@click.argument("model")
@click.option("--data", "source", help="Where the data is (default: where the champion's was).")
@click.option("--deploy", is_flag=True, help="If it becomes champion, have it deployed and tested.")
@priority_option
@click.option("--every", type=TimeSpan(), help="Do it again and again: each 30m, 6h, 1d or 1w.")
@click.option("--at", "first", type=TimeOfDay(), help="With --every: first at this time (UTC).")
@json_option
@click.pass_context
def command(  # noqa: PLR0913 - click passes each option by name
    ctx: click.Context,
    model: str,
    source: str | None,
    *,
    deploy: bool,
    priority: int | None,
    every: float | None,
    first: int | None,
    as_json: bool,
) -> None:
    """Submit the champion of MODEL again: its spec and its code, on the data as it is today.

    A controller carries the run, as of `submit`; the version becomes champion only if the gate
    lets it. A path starts from the current folder.

    With --every a schedule of MODEL is made, or changed: a controller begins a run at once, or
    first --at a time of the day, and then at each interval. Times that were missed are one, none
    begins while the last run goes on, and data that has not changed is not searched again.
    """
    from fairlead.control.retraining import Retraining

    if first is not None and every is None:
        raise click.UsageError("--at needs --every", ctx)
    asked = Retraining(
        model=model, source=source, base=Path.cwd(), deploy=deploy, priority=priority
    )
    if every is None:
        _submit(ctx, asked, as_json=as_json)
    else:
        _schedule(ctx, asked, every, first, as_json=as_json)


def _submit(ctx: click.Context, asked: Retraining, *, as_json: bool) -> None:
    from fairlead.cli.commands.submit import show_submitted
    from fairlead.cli.progress import watching
    from fairlead.control.retraining import retrain

    with counted(keeps=False) as stop, watching(quiet=False) as watch:
        run = retrain(asked, settings(ctx), watch, stop)
    show_submitted(ctx, run, as_json=as_json)


def _schedule(
    ctx: click.Context, asked: Retraining, every: float, first: int | None, *, as_json: bool
) -> None:
    from fairlead.cli.commands.schedules import interval
    from fairlead.control import schedules

    with opened(ctx) as stores:
        put = schedules.put(
            stores,
            asked,
            every=every,
            minute=first,
            through_server=settings(ctx).is_behind_api,
        )
    made = put.schedule
    if as_json:
        print_json(made)
    else:
        when = "at once" if first is None else f"at {minute(made.due)} UTC"
        click.echo(f"{made.model}: every {interval(made.every)}, first {when}")
    if put.remark is not None:
        note(put.remark)
    note(f"a controller begins the runs; `{program()} schedules` shows what came of them")
