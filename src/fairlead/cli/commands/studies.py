"""`fairlead studies`: the studies of this ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fairlead.cli.context import opened
from fairlead.cli.output import csv_option, json_option, print_csv, print_json, print_table

if TYPE_CHECKING:
    from fairlead.ledger.interface import Ledger
    from fairlead.records import Study

_COLUMNS = (
    "study",
    "name",
    "state",
    "done",
    "failed",
    "pruned",
    "size",
    "metric",
    "best",
    "score",
)


@click.command(epilog="\b\nExample:\n  fairlead studies --json\n")
@json_option
@csv_option
@click.pass_context
def command(ctx: click.Context, *, as_json: bool, as_csv: bool) -> None:
    """List the studies, the newest first, each with its best score so far."""
    with opened(ctx) as stores:
        rows = [_row(stores.ledger, study) for study in stores.ledger.studies.all()]
    if as_json:
        print_json(rows)
    elif as_csv:
        print_csv(_COLUMNS, [[row[column] for column in _COLUMNS] for row in rows])
    else:
        columns = ("study", "name", "state", "trials", "best")
        lines = [_words(row) for row in rows]
        print_table(columns, lines, unfolded=("study",), empty="there is no study yet")


def _row(ledger: Ledger, study: Study) -> dict[str, Any]:
    from fairlead.study.outcome import Trials, best_of, study_row

    best = best_of(study, Trials(ledger.studies.trials(study.id)))
    return study_row(study, ledger.studies.counts(study.id), best)


def _words(row: dict[str, Any]) -> tuple[str | None, ...]:
    ended = row["done"] + row["failed"] + row["pruned"]
    others = [f"{row[kind]} {kind}" for kind in ("failed", "pruned") if row[kind]]
    trials = ", ".join([f"{ended} of {row['size']}", *others])
    best = None if row["score"] is None else f"{row['metric']} {row['score']:.6g}"
    return row["study"], row["name"], row["state"], trials, best
