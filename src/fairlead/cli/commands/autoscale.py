"""`fairlead autoscale`: as many workers as the tasks that wait are worth."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fairlead.cli.context import begun, opened, settings
from fairlead.cli.decisions import decision_line
from fairlead.cli.options import FiniteRange
from fairlead.cli.output import log, print_fields, print_json
from fairlead.cli.worker_places import chosen_place, place_options
from fairlead.formatting import plain

if TYPE_CHECKING:
    from fairlead.control.autoscaling import Place, Replay, WorkerNeeds
    from fairlead.records import ScalingDecision

_HOUR = 3600.0
_MOST = 1024
_OF_STUDY = "study:"

_EPILOG = """\b
Examples:
  fairlead autoscale                    none while there is no task, up to 16
  fairlead autoscale --min 1 --max 4    always one, at most four
  fairlead autoscale --budget 8         at most 8 worker-hours
  fairlead autoscale --runner ray       on the Ray cluster of this machine
  fairlead autoscale --runner ray --address ray://head:10001 --max 200
  fairlead autoscale --runner kubernetes --image fairlead:1 --memory 2
  fairlead autoscale --plan load.yaml   what would be decided for a load
  fairlead autoscale --plan study:boston-prices --max 4

\b
load.yaml says what comes, and how long a worker takes to start:
  startup: 3
  arrivals:
    - {at: 0, tasks: 40, seconds: 30}
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--min", "least", type=click.IntRange(0, _MOST), metavar="N", help="Workers at least [0]."
)
@click.option(
    "--max", "most", type=click.IntRange(1, _MOST), metavar="N", help="Workers at most [16]."
)
@click.option(
    "--within",
    type=FiniteRange(0.1, 1e6),
    metavar="SECONDS",
    help="Time in which the tasks that wait are to be worked off [60].",
)
@click.option(
    "--cooldown",
    type=FiniteRange(0, 1e6),
    metavar="SECONDS",
    help="Time for which fewer must be wanted before any leave [60].",
)
@click.option(
    "--budget",
    type=FiniteRange(0, 1e6, min_open=True),
    metavar="HOURS",
    help="Worker-hours that may be spent in all [no bound].",
)
@click.option("--study", help="For this study only (a name, an id, or its beginning).")
@click.option("--name", help="One process decides under each name [the runner's].")
@click.option(
    "--drain",
    type=FiniteRange(0, 1e6),
    default=30.0,
    metavar="SECONDS",
    help="Time that workers have for their task when it is stopped [30].",
)
@place_options
@click.option(
    "--plan",
    metavar="LOAD",
    help="Start nothing: show what would be decided for a load, LOAD.yaml or study:NAME.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, of decisions one a line.")
@click.pass_context
def command(  # noqa: PLR0913 - click passes each option by name
    ctx: click.Context,
    /,
    *,
    least: int | None,
    most: int | None,
    within: float | None,
    cooldown: float | None,
    budget: float | None,
    study: str | None,
    name: str | None,
    drain: float,
    plan: str | None,
    as_json: bool,
    **of_place: Any,
) -> None:
    """Start workers as tasks come, and let idle ones leave.

    Each decision is printed with its reason, and kept in the ledger. SIGINT (Ctrl-C) or SIGTERM
    lets workers finish their tasks and ends; a second one ends at once.
    """
    spend = None if budget is None else budget * _HOUR
    options: dict[str, float | None] = {
        "least": least,
        "most": most,
        "within": within,
        "cooldown": cooldown,
        "budget": spend,
    }
    if plan is None:
        place, needs = chosen_place(settings(ctx), **of_place)
        _scale(
            ctx,
            options,
            study=study,
            name=name or of_place["runner"],
            drain=drain,
            place=place,
            needs=needs,
            as_json=as_json,
        )
    else:
        _plan(ctx, options, plan, as_json=as_json)


def _scale(  # noqa: PLR0913 - the options of the command
    ctx: click.Context,
    options: Mapping[str, float | None],
    *,
    study: str | None,
    name: str,
    drain: float,
    place: Place,
    needs: WorkerNeeds,
    as_json: bool,
) -> None:
    from fairlead.control.autoscaling import (
        Policy,
        ScaleRequest,
        WorkerStop,
        autoscale,
        with_options,
    )

    policy = with_options(Policy(), options)
    stop = WorkerStop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.ask())
    with begun(ctx):
        pass  # both stores can be opened
    autoscale(
        ScaleRequest(name=name, policy=policy, study=study, drain=drain, place=place, needs=needs),
        settings(ctx),
        stop,
        on_decision=lambda decision: _show(decision, as_json=as_json),
        note=log,
    )


def _show(decision: ScalingDecision, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(plain(decision), ensure_ascii=False, allow_nan=False))
    else:
        click.echo(decision_line(decision))


def _plan(
    ctx: click.Context, options: Mapping[str, float | None], plan: str, *, as_json: bool
) -> None:
    from fairlead.control.autoscaling import described, recorded_load, replay

    if plan.startswith(_OF_STUDY):
        with opened(ctx) as stores:
            load = recorded_load(stores.ledger, plan.removeprefix(_OF_STUDY), options)
    else:
        load = described(Path(plan), options)
    replayed = replay(load)
    if as_json:
        print_json({name: value for name, value in _facts(replayed).items() if name != "levels"})
    else:
        _show_replay(replayed)


def _facts(replayed: Replay) -> dict[str, Any]:
    facts: dict[str, Any] = plain(replayed)
    return facts


def _show_replay(replayed: Replay) -> None:
    from fairlead.autoscale.decide import span
    from fairlead.control.autoscaling import picture

    for decision in replayed.decisions:
        click.echo(decision_line(decision, at=f"{decision.at:>8.0f} s"))
    workers, waiting = picture(replayed)
    waited = max(level[2] for level in replayed.levels)
    click.echo(f"\nworkers  {workers:<60}  at most {replayed.most}")
    click.echo(f"waiting  {waiting:<60}  at most {waited}\n")
    left = replayed.tasks - replayed.done
    done = f"{replayed.done:,}" + (f"; {left:,} were never done" if left else "")
    print_fields(
        [
            ("tasks done", done),
            ("makespan", span(replayed.makespan)),
            ("worker time", f"{span(replayed.worker_seconds)}, {replayed.idle:.0%} of it idle"),
        ]
    )
