"""`fairlead run`: the whole path of a spec.

Belongs here: its arguments, Ctrl-C, and what a person reads at the end. Does not: the path
(study/run.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fairlead.cli.interrupts import counted
from fairlead.cli.live import token_option
from fairlead.cli.options import spec_options
from fairlead.cli.output import json_option, note, print_fields, print_json, settings

if TYPE_CHECKING:
    from fairlead.settings import Settings
    from fairlead.spec.document import Serve
    from fairlead.study.outcome import RunOutcome

_EPILOG = """\b
Examples:
  fairlead run examples/boston.yaml
  fairlead run examples/boston.yaml --workers 4 --set search.trials=20
  fairlead run examples/boston.yaml --json > outcome.json
  fairlead run examples/boston.yaml --deploy
"""


@click.command(epilog=_EPILOG)
@spec_options
@click.option("--fresh", is_flag=True, help="Search again, even if this study is finished.")
@click.option(
    "--deploy", is_flag=True, help="If it is the champion, bring it into service and test it there."
)
@token_option
@json_option
@click.pass_context
def command(  # noqa: PLR0913 - click passes each option by name
    ctx: click.Context,
    spec: Path,
    workers: int | None,
    sets: tuple[str, ...],
    *,
    fresh: bool,
    deploy: bool,
    token: str | None,
    as_json: bool,
) -> None:
    """Search, refit, judge and register: from the data to a version of the model.

    A study that is finished is shown and not searched again; raising search.trials extends it.
    Ctrl-C finishes the tasks in hand and keeps everything; a second one stops at once. Run the
    same command again to go on.

    With --deploy, a server that runs brings the champion into service; where none does, one is
    started for the test and stopped after it.
    """
    from fairlead.cli.progress import watching
    from fairlead.spec.load import load
    from fairlead.study.run import RunRequest, run

    options = settings(ctx)
    loaded = load(spec, sets=sets)
    request = RunRequest(spec=loaded.spec, base=loaded.base, workers=workers, fresh=fresh)
    with loaded.located(), counted(keeps=True) as stop, watching(quiet=False) as watch:
        outcome = run(request, options, watch, stop)
    if not as_json:
        _show(outcome, options)
    _mirror(options)
    if not (deploy or as_json):
        _offer(outcome, options, loaded.spec.serve)
    if deploy:
        _land(outcome, options, loaded.spec.serve, token, as_json=as_json)
    elif as_json:
        print_json(outcome.to_json())


def _land(
    outcome: RunOutcome, options: Settings, serve: Serve, token: str | None, *, as_json: bool
) -> None:
    """Deploy what came of the run; as JSON, the run is printed even where that fails."""
    from fairlead.cli.landing import land
    from fairlead.cli.steps import in_words

    details: Any = None
    warnings: list[str] = []

    def warned(line: str) -> None:
        warnings.append(line)
        note(f"warning: {line}")

    try:
        with counted(keeps=True) as stop:
            details = land(options, outcome.version, serve, token=token, stop=stop, warned=warned)
    finally:
        if as_json:
            print_json({**outcome.to_json(), "deployed": details, "warnings": warnings})
    if details and not as_json:
        told = in_words(details)  # but for the verdict, which the run has just printed
        print_fields([(name, value) for name, value in told if name != "gate"])


def _offer(outcome: RunOutcome, options: Settings, serve: Serve) -> None:
    """Say how what came of the run is brought into service."""
    from fairlead.cli.landing import offers

    if outcome.candidate.parity is not None:
        for line in offers(options, outcome.version, serve):
            note(line)


def _mirror(options: Settings) -> None:
    """Tell MLflow's registry, in a process of its own: importing MLflow takes seconds."""
    from fairlead.registry.mlflow import start_mirror

    start_mirror(options)


def _show(outcome: RunOutcome, options: Settings) -> None:
    print_fields(outcome.in_words())
    model = outcome.version.model
    for command in (f"fairlead report {model}", *_predicting(outcome)):
        note(f"next: {command}")
    note(f"all state is in {options.home}")


def _predicting(outcome: RunOutcome) -> list[str]:
    """How to predict with what came of the run; nothing where it cannot be exported."""
    if outcome.candidate.parity is None:
        return []
    command = f"fairlead predict {outcome.version.model} ROWS.csv"
    return [command if outcome.promoted else f"{command} --version {outcome.version.number}"]
