"""`fairlead controller`: carries runs that were submitted."""

from __future__ import annotations

import signal

import click

from fairlead.cli.context import settings
from fairlead.cli.options import token_option
from fairlead.cli.output import log_at

_EPILOG = """\b
Examples:
  fairlead controller               carry runs; workers are elsewhere
  fairlead controller --workers 4   with four workers here for each run
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--runs",
    "most",
    type=click.IntRange(1, 256),
    default=8,
    show_default=True,
    help="Runs to carry at once.",
)
@click.option(
    "--workers",
    type=click.IntRange(0, 256),
    default=0,
    show_default=True,
    help="Workers to start here for each run.",
)
@token_option
@click.pass_context
def command(ctx: click.Context, most: int, workers: int, token: str | None) -> None:
    """Carry submitted runs from stage to stage until stopped.

    Any number of controllers may run, anywhere: one holds a run at a time, and another goes on
    with it within seconds where one dies. SIGINT (Ctrl-C) or SIGTERM lets go of all runs and ends;
    a second one ends at once.
    """
    from fairlead.control.controller import Controller

    controller = Controller(
        settings=settings(ctx), most=most, workers=workers, note=log_at, token=token
    )
    asked = 0

    def ask(*_: object) -> None:
        nonlocal asked
        asked += 1
        controller.stop()
        if asked > 1:
            raise click.Abort

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    log_at("controller: waiting for runs")
    controller.run()
