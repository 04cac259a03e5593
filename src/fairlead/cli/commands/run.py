"""`fairlead run`: from a spec to a judged version, and with --deploy to a tested endpoint."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fairlead.cli.cluster_run import ClusterChoice, cluster_options, run_on_cluster
from fairlead.cli.context import settings
from fairlead.cli.deployment_progress import Reporter, in_words, waited
from fairlead.cli.interrupts import counted
from fairlead.cli.next_steps import program
from fairlead.cli.options import spec_options, token_option
from fairlead.cli.output import json_option, note, print_fields, print_json

if TYPE_CHECKING:
    from fairlead.settings import Settings
    from fairlead.spec.document import Serve
    from fairlead.study.outcome import RunOutcome
    from fairlead.study.stop import StopRequest

_EPILOG = """\b
Examples:
  fairlead run examples/boston.yaml
  fairlead run examples/boston.yaml --workers 4 --set search.trials=20
  fairlead run examples/boston.yaml --json > outcome.json
  fairlead run examples/boston.yaml --deploy
  fairlead run examples/boston.yaml --on kubernetes --workers 8 --cpu 500m
"""


@click.command(epilog=_EPILOG)
@spec_options
@click.option("--fresh", is_flag=True, help="Search again, even if this study is finished.")
@click.option(
    "--deploy", is_flag=True, help="If it becomes champion, deploy it and smoke-test its endpoint."
)
@token_option
@cluster_options
@json_option
@click.pass_context
def command(  # noqa: PLR0913 - click passes each option by name
    ctx: click.Context,
    /,
    spec: Path,
    workers: int | None,
    sets: tuple[str, ...],
    *,
    fresh: bool,
    deploy: bool,
    token: str | None,
    as_json: bool,
    **of_cluster: Any,
) -> None:
    """Search, refit, judge and register: from the data to a version of the model.

    A finished study is shown and not searched again; raising search.trials extends it.
    Ctrl-C finishes the running tasks, save fits that have a checkpoint to go on from, and keeps
    everything; a second one stops at once. Run the same command again to go on (without --fresh,
    which begins anew).

    With --deploy, a running server brings the champion into service; where none runs, one is
    started for the test and stopped after it.

    With --on kubernetes it is a Study of the installation there (`fairlead install`): applied,
    and followed until it has ended.
    """
    choice = ClusterChoice(**of_cluster)
    if choice.on is not None:
        if fresh:
            raise click.UsageError("--fresh cannot be combined with --on.")
        run_on_cluster(choice, spec, sets, workers=workers, deploy=deploy, as_json=as_json)
        return
    from fairlead.worker import forkserver

    options = settings(ctx)
    with forkserver.started(options.home) as server:  # before anything else is imported
        from fairlead.cli.progress import watching
        from fairlead.control.runs import run
        from fairlead.spec.load import load

        loaded = load(spec, sets=sets)

        def deployed(outcome: RunOutcome) -> None:
            progress.close()
            if not as_json:
                show_outcome(outcome, options)
            _deploy(outcome, options, loaded.spec.serve, token, stop=stop, as_json=as_json)

        with counted(keeps=True) as stop, ExitStack() as progress:
            watch = progress.enter_context(watching(quiet=False))
            if fresh:
                stop.again = "run the same command without --fresh to go on"
            outcome = run(
                loaded,
                options,
                workers=workers,
                fresh=fresh,
                watch=watch,
                stop=stop,
                forkserver=server,
                deploy=deployed if deploy else None,
            )
    if deploy:
        return
    if as_json:
        print_json(outcome.to_json())
    else:
        show_outcome(outcome, options)
        _offer(outcome, options, loaded.spec.serve)


def _deploy(  # noqa: PLR0913 - what, how, and who follows it
    outcome: RunOutcome,
    options: Settings,
    serve: Serve,
    token: str | None,
    *,
    stop: StopRequest,
    as_json: bool,
) -> None:
    """Deploy what came of the run; as JSON, the run is printed even where that fails."""
    from fairlead.control.runs import deploy_and_test

    details: Any = None
    reporter = Reporter()
    try:
        details = deploy_and_test(
            options,
            outcome.version,
            serve,
            token=token,
            stop=stop,
            wait=waited,
            on_event=reporter,
        )
    finally:
        if as_json:
            print_json({**outcome.to_json(), "deployed": details, "warnings": reporter.warnings})
    if details and not as_json:
        fields = in_words(details)  # but for the verdict, which the run has just printed
        print_fields([(name, value) for name, value in fields if name != "gate"])


def _offer(outcome: RunOutcome, options: Settings, serve: Serve) -> None:
    """Print how what came of the run is brought into service."""
    from fairlead.control.runs import serving_options

    if outcome.candidate.parity is not None:
        reporter = Reporter()
        for notice in serving_options(options, outcome.version, serve):
            reporter(notice)


def show_outcome(outcome: RunOutcome, options: Settings) -> None:
    """Print what came of a run, and what may be done next."""
    from fairlead.control.runs import named

    _show(outcome, options, named(outcome.study, options, called=outcome.version.model))


def _show(outcome: RunOutcome, options: Settings, study: str) -> None:
    """Print what came of the run; commands know its study by this name or id."""
    print_fields(outcome.in_words())
    model = outcome.version.model
    for command in (f"{program()} report {study}", *_predicting(outcome)):
        note(f"next: {command}")
    if outcome.trials.failures():
        note(f"`{program()} trials {study}` shows why trials failed")
    if not outcome.promoted and outcome.candidate.parity and outcome.candidate.parity.passed:
        promote = f"{program()} promote {model} {outcome.version.number} --why TEXT"
        note(f"`{promote}` makes it the champion all the same")
    if not (options.ledger or options.artifacts):
        note(f"all state is in {options.home}")


def _predicting(outcome: RunOutcome) -> list[str]:
    """How to predict with what came of the run; nothing where it was not exported."""
    if outcome.candidate.parity is None:
        return []
    command = f"{program()} predict {outcome.version.model} ROWS.csv"
    return [command if outcome.promoted else f"{command} --version {outcome.version.number}"]
