"""`fairlead trials`: the trials of a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from fairlead.cli.context import opened
from fairlead.cli.output import csv_option, json_option, print_csv, print_json, print_table

if TYPE_CHECKING:
    from fairlead.records import TrialRow

_EPILOG = """\b
Examples:
  fairlead trials boston-prices               the best first
  fairlead trials boston-prices --csv > trials.csv
STUDY is a name (its newest study), an id, or the beginning of one.
"""


@click.command(epilog=_EPILOG)
@click.argument("study")
@json_option
@csv_option
@click.option("--top", type=click.IntRange(1), help="Only the best N trials.", metavar="N")
@click.pass_context
def command(
    ctx: click.Context, study: str, top: int | None, *, as_json: bool, as_csv: bool
) -> None:
    """List the trials of STUDY: as JSON or CSV by number, as a table the best first."""
    from fairlead.study.outcome import Trials, flat, ranked

    with opened(ctx) as stores:
        found = stores.ledger.studies.get(study)
        trials = Trials(stores.ledger.studies.trials(found.id))
    rows = list(trials) if top is None else ranked(found, trials)[:top]
    if as_json:
        print_json(Trials(rows).to_json())
    elif as_csv:
        flats = [flat(row) for row in rows]
        columns = list(dict.fromkeys(name for fields in flats for name in fields))
        print_csv(columns, [[fields.get(column) for column in columns] for fields in flats])
    else:
        _table(ranked(found, Trials(rows)))


def _table(rows: Sequence[TrialRow]) -> None:
    columns = ("trial", "state", "score", "seconds", "parameters")
    print_table(columns, [_row(row) for row in rows], empty="the study has no trial yet")


def _row(row: TrialRow) -> tuple[object, ...]:
    from fairlead.study.outcome import in_words

    result = row.result
    score, seconds = (result.score, round(result.seconds, 2)) if result else (None, None)
    return row.trial.number, row.state, score, seconds, in_words(row)
