"""`fairlead submit`: a spec into the stores, for a controller and workers to carry out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fairlead.cli.context import opened, settings
from fairlead.cli.interrupts import counted
from fairlead.cli.next_steps import program
from fairlead.cli.options import priority_option, sets_option
from fairlead.cli.output import json_option, note, print_json

if TYPE_CHECKING:
    from fairlead.records import Run

_EPILOG = """\b
Examples:
  fairlead submit examples/boston.yaml
  fairlead submit examples/boston.yaml --deploy --priority 5
  fairlead watch $(fairlead submit examples/boston.yaml)
"""


@click.command(epilog=_EPILOG)
@click.argument("spec", type=click.Path(path_type=Path))
@sets_option
@click.option("--fresh", is_flag=True, help="Search again, even if this study is finished.")
@click.option("--deploy", is_flag=True, help="If it becomes champion, have it deployed and tested.")
@priority_option
@click.option(
    "--id-file",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="Write the run's id into this file, too.",
)
@json_option
@click.pass_context
def command(  # noqa: PLR0913 - click passes each option by name
    ctx: click.Context,
    spec: Path,
    sets: tuple[str, ...],
    *,
    fresh: bool,
    deploy: bool,
    priority: int | None,
    id_file: Path | None,
    as_json: bool,
) -> None:
    """Submit SPEC and print the run's id.

    Its data, its code and its first tasks go into the stores. Workers (`fairlead worker`) carry
    out its tasks, and a controller (`fairlead controller`) takes it from stage to stage: on any
    machines that reach the same ledger and artefact store.
    """
    from fairlead.cli.progress import watching
    from fairlead.control.submitted import submit
    from fairlead.spec.load import load

    loaded = load(spec, sets=sets)
    with counted(keeps=False) as stop, watching(quiet=False) as watch:
        run = submit(
            loaded,
            settings(ctx),
            fresh=fresh,
            deploy=deploy,
            priority=priority,
            watch=watch,
            stop=stop,
        )
    if id_file is not None:
        id_file.write_text(run.id)
    show_submitted(ctx, run, as_json=as_json)


def show_submitted(ctx: click.Context, run: Run, *, as_json: bool) -> None:
    """Print a run that a command has submitted, and what it waits for where it is paused."""
    if as_json:
        print_json(run)
    else:
        click.echo(run.id)
        note(f"`{program()} watch {run.id}` shows its progress")
    with opened(ctx) as stores:
        is_paused = stores.ledger.studies.get(run.study).paused
    if is_paused:
        note(f"its study is paused, and stays so until `{program()} resume {run.id}`")
