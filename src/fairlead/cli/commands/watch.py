"""`fairlead watch`: the progress of a run, from anywhere."""

from __future__ import annotations

import click

from fairlead.cli.context import opened, settings
from fairlead.cli.interrupts import counted
from fairlead.cli.output import json_option, print_json

_EPILOG = """\b
Examples:
  fairlead watch boston-prices            the last run of this study
  fairlead watch 11dff37499c9fd62.1       this run
RUN is a run's id, or the name in its spec, or its study's id or the start of that.
"""


@click.command(epilog=_EPILOG)
@click.argument("run")
@json_option
@click.pass_context
def command(ctx: click.Context, run: str, *, as_json: bool) -> None:
    """Show the progress of RUN, as `run` does, until it has ended, and then what came of it.

    Ctrl-C ends the watching; the run goes on.
    """
    from fairlead.cli.commands.run import show_outcome
    from fairlead.cli.progress import watching
    from fairlead.control.submitted import find, watch

    with opened(ctx) as stores, counted(keeps=False) as stop, watching(quiet=False) as listener:
        outcome = watch(stores, find(stores.ledger, run), listener, stop)
    if as_json:
        print_json(outcome.to_json())
    else:
        show_outcome(outcome, settings(ctx))
