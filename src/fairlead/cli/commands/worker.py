"""`fairlead worker`: the program of every worker, with its signals."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial

import click

from fairlead.artifacts import Artifacts
from fairlead.cli.context import begun, settings
from fairlead.cli.output import log, log_at
from fairlead.formatting import without_password
from fairlead.machine import installed_packages, unique_name, usable_memory
from fairlead.records import Digest, Offer

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

_EPILOG = """\b
Examples:
  fairlead worker                        work on any study, until Ctrl-C
  fairlead worker --study boston-prices  work on this study only
  fairlead worker --slots 4              four workers, replaced where one dies
"""


def _name(_: click.Context, __: click.Parameter, name: str | None) -> str | None:
    """A name that can be that of a file, too: workers that others start have logs of their own."""
    if name is not None and not _NAME.fullmatch(name):
        raise click.BadParameter(f"{name!r} is not of letters, digits, '.', '_' and '-'.")
    return name


@click.command(epilog=_EPILOG)
@click.option("--study", help="Work on this study only (a name, an id, or its beginning).")
@click.option("--name", callback=_name, help="Name of this worker, unique among those alive.")
@click.option(
    "--slots",
    type=click.IntRange(1, 256),
    help="So many workers at once, by the names NAME-1, NAME-2 and so on.",
)
@click.option(
    "--drain-seconds",
    "drain",
    type=click.FloatRange(min=0),
    help="Seconds that the task in hand has, once asked to stop (default: as long as it takes).",
)
@click.option(
    "--idle-seconds",
    "idle",
    type=click.FloatRange(min=0),
    help="End after so long without a task (default: never).",
)
@click.option("--quiet", is_flag=True, help="Print only what goes wrong.")
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
    idle: float | None,
    quiet: bool,
    forkserver: str | None,
    assigned: bool,
    until_eof: bool,
) -> None:
    """Claim and carry out tasks until stopped.

    SIGINT (Ctrl-C) or SIGTERM finishes the running task, or gives it back where its fit has a
    checkpoint to go on from, and ends; a second one, or the end of --drain-seconds, ends at once
    and gives the task back.
    """
    if slots is not None:
        for given, option in ((until_eof, "--until-eof"), (idle is not None, "--idle-seconds")):
            if given:
                raise click.UsageError(f"--slots cannot be combined with {option}.")
        _work_in_slots(ctx, slots, name, study, drain)
        return
    from fairlead.stores import open_queue  # imported before the wait
    from fairlead.worker.loop import Worker

    if assigned and (study := _assignment()) is None:
        return
    options = settings(ctx)
    by_hand = not until_eof
    name = name or unique_name()
    say = partial(_say, name) if by_hand else log
    tell = say if by_hand and not quiet else _nothing
    with begun(ctx) as stores:
        of = stores.ledger.studies.get(study).id if study else None
        tell(f"waiting for tasks of {without_password(options.ledger_url)}")
        queue = open_queue(options, notice=say, study=of or "")
        worker = Worker(
            name=name,
            ledger=stores.ledger,
            artifacts=options.artifacts_url,
            cache=options.artifacts_cache,
            lease=options.lease,
            study=of,
            queue=queue,
            offer=Offer(packages=installed_packages(), memory=usable_memory()),
            forkserver=forkserver,
            idle=idle,
            remove_checkpoint=_removal(stores.artifacts),
            note=say,
            tell=tell,
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
            tell("ended")
        finally:
            if queue is not None:
                queue.close()


def _say(name: str, text: str) -> None:
    log_at(f"worker {name}: {text}")


def _nothing(_: str) -> None:
    """Tell nobody."""


def _work_in_slots(
    ctx: click.Context, slots: int, name: str | None, study: str | None, drain: float | None
) -> None:
    from fairlead.control.fleet import Slots, slots_ledger

    options = settings(ctx)
    with slots_ledger(options) as ledger:
        of = ledger.studies.get(study).id if study else None
        running = Slots(ledger, options, count=slots, study=of, drain=drain, name=name)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: running.stop())
        where = without_password(options.ledger_url)
        log_at(f"{slots} workers of {where}; their logs are in {options.logs}")
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


def _removal(artifacts: Artifacts) -> Callable[[Digest, float], None] | None:
    """What removes an artefact, unless it was stored again later, where the store lets it."""
    if not artifacts.can_delete:
        return None
    return lambda digest, seen: artifacts.delete(digest, unless_after=seen)


def _at_eof(stop: Callable[[], None]) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    stop()
