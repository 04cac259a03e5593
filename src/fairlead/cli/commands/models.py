"""`fairlead models`: the models and what is live."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from fairlead.cli.context import opened
from fairlead.cli.live import shares
from fairlead.cli.output import (
    csv_option,
    json_option,
    note,
    print_csv,
    print_json,
    print_table,
    settings,
)
from fairlead.cli.when import minute, utc

if TYPE_CHECKING:
    from fairlead.records import Route, Version
    from fairlead.registry.registry import Registry

_COLUMNS = ("model", "champion", "versions", "metric", "holdout_score", "created", "live", "mlflow")
_CREATED = "created (UTC)"
_HEADINGS = ("model", "champion", "versions", "metric", "holdout", _CREATED, "live")


@click.command(epilog="\b\nExample:\n  fairlead models --json\n")
@json_option
@csv_option
@click.pass_context
def command(ctx: click.Context, *, as_json: bool, as_csv: bool) -> None:
    """List the models and what is live, and tell MLflow's registry what it does not know yet.

    Metric, score and time are those of the champion, or of the newest version where there is no
    champion; live is how the model's traffic is split over its revisions: in JSON the percent of
    each, {} where the model is out of service. --json and --csv say how much waits for an MLflow
    registry that cannot be reached.
    """
    from fairlead.registry.mlflow import catch_up
    from fairlead.registry.registry import Registry

    with opened(ctx) as (ledger, artifacts):
        state = catch_up(settings(ctx), ledger)
        waiting = Counter(str(payload["model"]) for _, _, payload in ledger.outbox.pending())
        every = groupby(ledger.versions.all(), key=lambda version: version.model)
        registry = Registry(ledger, artifacts)
        rows = [_row(registry, list(versions), waiting[model]) for model, versions in every]
    exact = [{**row, "created": utc(row["created"])} for row in rows]
    if state.note:
        note(f"{state.note} (what waits is told by the next `fairlead run` or `fairlead models`)")
    if as_json:
        print_json([{**row, "live": _traffic(row["live"])} for row in exact])
    elif as_csv:
        told = [{**row, "live": _shared(row["live"])} for row in exact]
        print_csv(_COLUMNS, [[row[column] for column in _COLUMNS] for row in told])
    else:
        print_table(_HEADINGS, map(_words, rows), unfolded=(_CREATED,))


def _row(registry: Registry, versions: list[Version], waiting: int) -> dict[str, Any]:
    newest = versions[-1]
    champion = registry.ledger.versions.champion(newest.model)
    shown = champion or newest
    candidate = registry.candidate(shown)
    route = registry.ledger.routes.current(newest.model)
    return {
        "model": newest.model,
        "champion": champion.number if champion else None,
        "versions": len(versions),
        "metric": candidate.metric,
        "holdout_score": candidate.holdout_score,
        "created": shown.created,
        "live": route,
        "mlflow": f"{waiting} waiting" if waiting else "told",
    }


def _words(row: dict[str, Any]) -> list[object]:
    """Without MLflow's column: a note has said so where something waits."""
    shown = {**row, "created": minute(row["created"]), "live": _shared(row["live"])}
    return [shown[column] for column in _COLUMNS if column != "mlflow"]


def _traffic(route: Route | None) -> Mapping[str, int] | None:
    return route.traffic if route else None


def _shared(route: Route | None) -> str | None:
    return shares(route) if route else None
