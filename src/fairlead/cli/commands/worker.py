"""`fairlead worker`: the program of every worker, with its signals."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial

import click

from fairlead.cli.context import opened, settings
from fairlead.cli.output import log
from fairlead.machine import installed_packages, unique_name, usable_memory
from fairlead.records import Offer

_EPILOG = """\b
Examples:
  fairlead worker                        work on any study, until Ctrl-C
  fairlead worker --study boston-prices  work on this study only
  fairlead worker --slots 4              four workers, replaced where one dies
"""


@click.command(epilog=_EPILOG)
@click.option("--study", help="Work on this study only (a name, an id, or its beginning).")
@click.option("--name", help="Name of this worker, unique among those alive.")
@click.option(
    "--slots",
    type=click.IntRange(1, 256),
    help="So many workers at once, whose names begin with this one's.",
)
@click.option(
    "--drain-seconds",
    "drain",
    type=click.FloatRange(min=0),
    help="Seconds that the task in hand has, once asked to stop (default: as long as it takes).",
)
@click.option("--forkserver", envvar="FAIRLEAD_FORKSERVER", hidden=True)
@click.option("--assigned", is_flag=True, hidden=True)
@click.option("--until-eof", is_flag=True, help="Stop at once at the end of standard input.")
@click.pass_context
def command(  # noqa: PLR0913 - click passes each option by name
    ctx: click.Context,
    *,
    study: str | None,
    name: str | None,
    slots: int | None,
    drain: float | None,
    forkserver: str | None,
    assigned: bool,
    until_eof: bool,
) -> None:
    """Claim and carry out tasks until stopped.

    SIGINT (Ctrl-C) or SIGTERM finishes the running task and ends; a second one, or the end of
    --drain-seconds, ends at once and gives the task back.
    """
    if slots is not None:
        if name is not None or until_eof:
            raise click.UsageError("--slots cannot be combined with --name or --until-eof.")
        _work_in_slots(ctx, slots, study, drain)
        return
    from fairlead.stores import open_queue  # imported before the wait
    from fairlead.worker.loop import Worker

    if assigned and (study := _assignment()) is None:
        return
    options = settings(ctx)
    with opened(ctx) as stores:
        of = stores.ledger.studies.get(study).id if study else None
        queue = open_queue(options, notice=log, study=of or "")
        worker = Worker(
            name=name or unique_name(),
            ledger=stores.ledger,
            artifacts=options.artifacts_url,
            cache=options.artifacts_cache,
            lease=options.lease,
            study=of,
            queue=queue,
            offer=Offer(packages=installed_packages(), memory=usable_memory()),
            forkserver=forkserver,
            note=log,
        )
        at_once = partial(worker.stop.ask, at_once=True)

        def ask(*_: object) -> None:
            if drain is not None and not worker.stop.after_task:
                limit = threading.Timer(drain, at_once)
                limit.daemon = True
                limit.start()
            worker.stop.ask()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, ask)
        if until_eof:
            threading.Thread(target=_at_eof, args=(at_once,), daemon=True).start()
        try:
            worker.run()
        finally:
            if queue is not None:
                queue.close()


def _work_in_slots(ctx: click.Context, slots: int, study: str | None, drain: float | None) -> None:
    from fairlead.control.fleet import Slots

    options = settings(ctx)
    with opened(ctx) as stores:
        of = stores.ledger.studies.get(study).id if study else None
        running = Slots(stores.ledger, options, count=slots, study=of, drain=drain)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: running.stop())
        log(f"{slots} workers; their logs are in {options.logs}")
        running.run()


def _assignment() -> str | None:
    """The id of the study that this worker is for; None where it is not wanted any more.

    It comes on standard input, with the file to print to and environment variables.
    """
    line = sys.stdin.readline()
    if not line:
        return None
    said = json.loads(line)
    log = os.open(said["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    os.environ.update(said["environ"])
    return str(said["study"])


def _at_eof(stop: Callable[[], None]) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    stop()
