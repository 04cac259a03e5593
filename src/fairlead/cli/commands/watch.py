"""`fairlead watch`: the progress of a run, from anywhere."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from fairlead.cli.cluster_run import watch_on_cluster
from fairlead.cli.context import opened, settings
from fairlead.cli.interrupts import counted
from fairlead.cli.kubernetes import on_option
from fairlead.cli.output import json_option, print_json

if TYPE_CHECKING:
    from fairlead.control.halts import Halt

_EPILOG = """\b
Examples:
  fairlead watch boston-prices            the last run of this study
  fairlead watch 11dff37499c9fd62.1       this run
  fairlead watch boston-prices --on kubernetes    the Study of this name
RUN is a run's id, the name in its spec, or the start of its study's id.
"""


@click.command(epilog=_EPILOG)
@click.argument("run")
@on_option
@json_option
@click.pass_context
def command(  # noqa: PLR0913 - click passes each option by name
    ctx: click.Context,
    run: str,
    *,
    on: str | None,
    namespace: str,
    context: str | None,
    as_json: bool,
) -> None:
    """Show the progress of RUN, as `run` does, until it has ended, and then what came of it.

    A fit that is made in steps has a line of its own. With --json, and stderr no terminal, progress
    is lines of JSON there.

    Ctrl-C ends the watching; the run goes on.
    """
    if on is not None:
        watch_on_cluster(run, namespace=namespace, context=context, as_json=as_json)
        return
    from fairlead.cli.commands.run import show_outcome
    from fairlead.cli.halts import in_words
    from fairlead.cli.progress import watching
    from fairlead.control.submitted import find, watch

    with opened(ctx) as stores, ExitStack() as meanwhile:
        found = find(stores.ledger, run)
        left = f"not watching any more: run {found.id} goes on"
        stop = meanwhile.enter_context(counted(keeps=False, lost=left))
        listener = meanwhile.enter_context(watching(quiet=False, as_json=as_json))

        def tell(halt: Halt) -> None:
            held = [one.name for one in stores.ledger.autoscaling.all() if one.holder]
            listener.note(in_words(halt, autoscalers=held))

        outcome = watch(stores, found, listener, stop, on_halt=tell)
    if as_json:
        print_json(outcome.to_json())
    else:
        show_outcome(outcome, settings(ctx))
