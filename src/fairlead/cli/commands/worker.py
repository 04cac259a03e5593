"""`fairlead worker`: the program of every worker, with its signals."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial

import click

from fairlead.cli.context import opened, settings
from fairlead.cli.output import note

_EPILOG = """\b
Examples:
  fairlead worker                        work on any study, until Ctrl-C
  fairlead worker --study boston-prices  work on this study only
"""


@click.command(epilog=_EPILOG)
@click.option("--study", help="Work on this study only (a name, an id, or its beginning).")
@click.option("--name", help="Name of this worker, unique among those alive.")
@click.option("--forkserver", envvar="FAIRLEAD_FORKSERVER", hidden=True)
@click.option("--until-eof", is_flag=True, help="Stop at once at the end of standard input.")
@click.pass_context
def command(
    ctx: click.Context,
    study: str | None,
    name: str | None,
    forkserver: str | None,
    *,
    until_eof: bool,
) -> None:
    """Claim and carry out tasks until stopped.

    SIGINT (Ctrl-C) or SIGTERM finishes the running task and ends; a second one ends at once and
    releases the task.
    """
    from fairlead.worker.loop import Worker

    options = settings(ctx)
    with opened(ctx) as stores:
        worker = Worker(
            name=name or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}",
            ledger=stores.ledger,
            artifacts=options.artifacts_url,
            cache=options.artifacts_cache,
            lease=options.lease,
            study=stores.ledger.studies.get(study).id if study else None,
            forkserver=forkserver,
            note=note,
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: worker.stop.ask())
        if until_eof:
            at_once = partial(worker.stop.ask, at_once=True)
            threading.Thread(target=_at_eof, args=(at_once,), daemon=True).start()
        worker.run()


def _at_eof(stop: Callable[[], None]) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    stop()
