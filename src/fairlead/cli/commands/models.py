"""`fairlead models`: the models and what is live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fairlead.cli.context import opened, settings
from fairlead.cli.next_steps import program
from fairlead.cli.output import (
    csv_option,
    json_option,
    minute,
    note,
    print_csv,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from fairlead.control.models import ModelSummary
    from fairlead.records import Route

_COLUMNS = ("model", "champion", "versions", "metric", "holdout_score", "created", "live", "mlflow")
_CREATED = "created (UTC)"
_HEADINGS = ("model", "champion", "versions", "metric", "holdout", _CREATED, "live")


@click.command(epilog="\b\nExample:\n  fairlead models --json\n")
@json_option
@csv_option
@click.pass_context
def command(ctx: click.Context, *, as_json: bool, as_csv: bool) -> None:
    """List the models and what is live, and bring MLflow's registry up to date.

    Metric, score and time are those of the champion, or of the newest version where there is no
    champion; live is how the model's traffic is split over its revisions: in JSON the percent of
    each, {} where the model is out of service. --json and --csv say how many changes wait for an
    MLflow registry that cannot be reached.
    """
    from fairlead.control.models import models, summary_json

    with opened(ctx) as stores:
        found, problem = models(stores, settings(ctx))
    if problem:
        note(f"{problem} (the next `{program()} run` or `{program()} models` tries again)")
    if as_json:
        print_json([summary_json(each) for each in found])
    elif as_csv:
        print_csv(_COLUMNS, [list(_exact(each).values()) for each in found])
    else:
        none = "there is no model yet"
        print_table(
            _HEADINGS,
            map(_words, found),
            unfolded=("model", _CREATED),
            spared=("versions", _CREATED),
            empty=none,
        )


def _exact(model: ModelSummary) -> dict[str, Any]:
    from fairlead.control.models import summary_json

    return {**summary_json(model), "live": _live(model.live)}


def _words(model: ModelSummary) -> list[object]:
    """Without MLflow's column: a note has said so where something waits."""
    row = {**_exact(model), "created": minute(model.created)}
    return [value for column, value in row.items() if column != "mlflow"]


def _live(route: Route | None) -> str | None:
    from fairlead.control.endpoints import traffic_in_words

    return traffic_in_words(route) if route else None
