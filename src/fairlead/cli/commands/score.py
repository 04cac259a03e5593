"""`fairlead score`: one trial of a spec, without a study."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from fairlead.cli.context import settings
from fairlead.cli.options import sets_option
from fairlead.cli.output import json_option, note, print_json
from fairlead.errors import Invalid

_EPILOG = """\b
Examples:
  fairlead score boston.yaml --param n_estimators=200 --param max_depth=null
  fairlead score boston.yaml --family linear --param alpha=0.1 --json
"""


@click.command(epilog=_EPILOG)
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the search and its value, as the spec writes it.",
)
@click.option("--family", metavar="NAME", help="Where the spec has several.")
@sets_option
@json_option
@click.pass_context
def command(  # noqa: PLR0913 - click passes each option by name
    ctx: click.Context,
    *,
    spec: Path,
    params: tuple[str, ...],
    family: str | None,
    sets: tuple[str, ...],
    as_json: bool,
) -> None:
    """Score one trial of SPEC, and print its metric as NAME=SCORE.

    The score is the one that a trial with these parameters has in a study of SPEC. Parameters with
    one value need not be given. Nothing is kept: this is what the Jobs of Katib run, which
    chooses the parameters itself (`fairlead render SPEC --for katib`).
    """
    from fairlead.machine import library_environment
    from fairlead.spec.load import load

    loaded = load(spec, sets=sets)
    # As in a worker's child, and before the libraries are loaded: sums depend on it.
    os.environ.update(library_environment(loaded.spec.search.threads))
    from fairlead.study.single_trial import score_trial

    with loaded.located():
        scored = score_trial(
            loaded.spec, _given(params), family=family, base=loaded.base, settings=settings(ctx)
        )
    for remark in scored.remarks:
        note(remark)
    if as_json:
        print_json(scored)
    else:
        click.echo(f"{scored.metric}={scored.score!r}")


def _given(params: Iterable[str]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for param in params:
        name, equals, value = param.partition("=")
        if not (name and equals):
            raise Invalid(f"--param {param!r}: give it as NAME=VALUE, such as max_depth=10")
        if name in found:
            raise Invalid(f"--param {name}: it is given twice")
        found[name] = value
    return found
