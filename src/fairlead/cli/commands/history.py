"""`fairlead history`: which versions became champion, when and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from fairlead.cli.context import opened
from fairlead.cli.output import json_option, minute, print_json, print_table

if TYPE_CHECKING:
    from fairlead.records import Judgement, Promotion

_COLUMNS = ("when (UTC)", "version", "what", "why")


@click.command(epilog="\b\nExample:\n  fairlead history boston-prices\n")
@click.argument("model")
@json_option
@click.pass_context
def command(ctx: click.Context, *, model: str, as_json: bool) -> None:
    """Show which versions of MODEL became champion, and which did not: when and why."""
    from fairlead.control.models import history

    with opened(ctx) as stores:
        found = history(stores, model)
    if as_json:
        print_json(found)
    else:
        lines = timeline(found.promotions, found.judgements)
        none = "no version was judged or promoted yet"
        print_table(_COLUMNS, lines, unfolded=_COLUMNS[:1], empty=none)


def timeline(
    promotions: Sequence[Promotion], judgements: Sequence[Judgement]
) -> list[tuple[str, str, str, str]]:
    """Promotions, and verdicts that led to none, in the order of time."""
    lines = [(entry.at, entry.version, _what(entry), entry.why) for entry in promotions]
    lines += [
        (entry.at, entry.version, "judged", entry.verdict.text)
        for entry in judgements
        if entry.verdict.decision != "promote"
    ]
    return [(minute(at), f"v{version}", what, why) for at, version, what, why in sorted(lines)]


def _what(promotion: Promotion) -> str:
    before = f"v{promotion.previous}" if promotion.previous else "none"
    return f"{promotion.kind}, was {before}"
