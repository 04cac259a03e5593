"""`fairlead logs`: what happened to a run's tasks, line by line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from fairlead.cli.context import opened
from fairlead.cli.output import json_option, print_json, second
from fairlead.formatting import numbered

if TYPE_CHECKING:
    from fairlead.control.run_log import LogLine
    from fairlead.records import Result

_EVERY = 0.5  # seconds between two looks

_EPILOG = """\b
Examples:
  fairlead logs boston-prices
  fairlead logs boston-prices --follow --tail 20
  fairlead logs boston-prices --faults
RUN is a run's id, the name in its spec, or the start of its study's id.
"""


@click.command(epilog=_EPILOG)
@click.argument("run")
@click.option("--follow", is_flag=True, help="Go on with what happens until the run has ended.")
@click.option("--faults", is_flag=True, help="Only attempts that failed, and leases that ended.")
@click.option("--tail", type=click.IntRange(0), help="Only the last N lines.", metavar="N")
@json_option
@click.pass_context
def command(  # noqa: PLR0913 - click passes each option by name
    ctx: click.Context, run: str, *, follow: bool, faults: bool, tail: int | None, as_json: bool
) -> None:
    """Print the history of RUN's study: its attempts, by which worker, and what came of them.

    What a worker itself printed is in its own log, on its machine.
    """
    from fairlead.control.run_log import RunLog
    from fairlead.control.submitted import find
    from fairlead.study.outcome import metric_of

    if follow and as_json:
        raise click.UsageError("--follow and --json cannot be combined.")
    with opened(ctx) as stores:
        found = find(stores.ledger, run)
        metric = metric_of(stores.ledger.studies.get(found.study)).name
        log = RunLog(stores.ledger, found, faults=faults)
        lines = log.read()
        lines = lines if tail is None else lines[len(lines) - min(tail, len(lines)) :]
        if as_json:
            print_json([line.to_json() for line in lines])
            return
        while True:
            for line in lines:
                click.echo(_in_words(line, metric))
            if not follow or found.state != "running":
                return
            time.sleep(_EVERY)
            found = stores.ledger.runs.get(found.id)
            lines = log.read()


def _in_words(line: LogLine, metric: str) -> str:
    event = line.event
    task = f"{_task(line)} attempt {event.attempt} " if event.task is not None else ""
    by = f" by {event.worker}" if event.worker else ""
    said = event.text or _results(line.results, metric)
    text = f": {said}" if said else ""
    return f"{second(event.at)}  {task}{event.kind}{by}{text}"


def _task(line: LogLine) -> str:
    subject = line.subject
    if subject is None:
        return f"task {line.event.task}"
    what = "refit of trial" if subject.kind == "refit" else "trial"
    return f"task {line.event.task} ({numbered(what, subject.trials)})"


def _results(results: tuple[Result, ...], metric: str) -> str:
    """The scores of trials, or how those ended that have none."""
    said = [one.state if one.score is None else f"{one.score:.6g}" for one in results]
    has_score = any(one.score is not None for one in results)
    return f"{metric} {', '.join(said)}" if has_score else ", ".join(said)
