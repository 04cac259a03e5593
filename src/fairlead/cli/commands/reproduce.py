"""`fairlead reproduce`: train a version again and compare."""

from __future__ import annotations

import click

from fairlead.cli.context import settings
from fairlead.cli.interrupts import counted
from fairlead.cli.options import VersionNumber, workers_option
from fairlead.cli.output import json_option, note, print_json

_EPILOG = """\b
Examples:
  fairlead reproduce boston-prices 1
  fairlead reproduce boston-prices 1 --json
"""
_SHOWN = 10


@click.command(epilog=_EPILOG)
@click.argument("model")
@click.argument("version", type=VersionNumber())
@workers_option
@json_option
@click.pass_context
def command(
    ctx: click.Context, model: str, version: int, workers: int | None, *, as_json: bool
) -> None:
    """Train VERSION of MODEL again, from the digests of its data and code, and compare.

    Every trial is run again in a temporary home; nothing in this one changes. The exit status is 0
    where all trials, scores and files are equal, 1 where anything differs.
    """
    from fairlead.cli.progress import watching
    from fairlead.study.reproduce import reproduce

    with counted(keeps=False) as stop, watching(quiet=False) as watch:
        answer = reproduce(
            model, version, settings=settings(ctx), workers=workers, watch=watch, stop=stop
        )
    for line in answer.environment:
        note(f"the environment differs: {line}")
    if as_json:
        print_json(answer)
    elif answer.equal:
        click.echo(f"equal: {model} v{version}, {answer.trials} trials and the model, bit for bit")
    else:
        click.echo(f"different: {model} v{version}")
        for line in answer.differences[:_SHOWN]:
            click.echo(f"  {line}")
        if len(answer.differences) > _SHOWN:
            click.echo(f"  and {len(answer.differences) - _SHOWN} more (--json lists them)")
    ctx.exit(0 if answer.equal else 1)
