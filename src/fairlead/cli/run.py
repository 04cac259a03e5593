"""`fairlead run`: the whole path of a spec.

Belongs here: its arguments, Ctrl-C, and what a person reads at the end. Does not: the path
(study/job.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fairlead.cli.interrupts import counted
from fairlead.cli.output import json_option, note, print_fields, print_json, settings

if TYPE_CHECKING:
    from fairlead.settings import Settings
    from fairlead.study.outcome import Outcome

_EPILOG = """\b
Examples:
  fairlead run examples/boston.yaml
  fairlead run examples/boston.yaml --workers 4 --set search.trials=20
  fairlead run examples/boston.yaml --json > outcome.json
"""


@click.command(epilog=_EPILOG)
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--workers", type=click.IntRange(1, 1024), help="Workers (default: one a core).")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override a key.")
@click.option("--fresh", is_flag=True, help="Search again, even if this study is finished.")
@json_option
@click.pass_context
def command(  # noqa: PLR0913 - click passes each option by name
    ctx: click.Context,
    spec: Path,
    workers: int | None,
    sets: tuple[str, ...],
    *,
    fresh: bool,
    as_json: bool,
) -> None:
    """Search, refit, judge and register: from the data to a version of the model.

    A study that is finished is shown and not searched again; raising search.trials extends it.
    Ctrl-C finishes the tasks in hand and keeps everything; a second one stops at once. Run the
    same command again to go on.
    """
    from fairlead.cli.progress import watching
    from fairlead.spec.load import load
    from fairlead.study.job import Order, run

    options = settings(ctx)
    loaded = load(spec, sets=sets)
    order = Order(spec=loaded.spec, base=loaded.base, workers=workers, fresh=fresh)
    with loaded.located(), counted() as stop, watching(quiet=False) as watch:
        outcome = run(order, options, watch, stop)
    if as_json:
        print_json(outcome.to_json())
    else:
        _show(outcome, options)
    _mirror(options)


def _mirror(options: Settings) -> None:
    """Tell MLflow's registry, in a process of its own: importing MLflow takes seconds."""
    from fairlead.registry.mlflow import start_mirror

    start_mirror(options)


def _show(outcome: Outcome, options: Settings) -> None:
    best, candidate, version = outcome.best, outcome.candidate, outcome.version
    params = ", ".join(f"{name}={value}" for name, value in best.params.items())
    print_fields(
        [
            ("best trial", f"{best.number} of {len(outcome.trials)}: {best.family}"),
            ("parameters", params or "the library's own"),
            (candidate.metric, _scores(outcome)),
            ("exported", _exported(outcome)),
            ("version", f"{version.model} v{version.number} (study {outcome.study.id})"),
            ("verdict", outcome.verdict.text),
        ]
    )
    note(f"next: fairlead report {version.model} | fairlead predict {version.model} ROWS.csv")
    note(f"all state is in {options.home}")


def _scores(outcome: Outcome) -> str:
    candidate = outcome.candidate
    held = candidate.holdout_score
    score = f"{outcome.best.score:.6g} cross-validated"
    on = f"on {candidate.holdout_rows} holdout rows"
    return f"{score}, {held:.6g} {on}" if held is not None else f"{score}; none {on}"


def _exported(outcome: Outcome) -> str:
    candidate = outcome.candidate
    if candidate.parity is None:
        return f"no: {candidate.unexportable}"
    size = candidate.files["model.onnx"].size / 1e6
    parity = candidate.parity
    equal = parity.rows - parity.beyond
    return f"ONNX, {size:.1f} MB; {equal} of {parity.rows} holdout rows as the trained model"
