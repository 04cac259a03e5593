"""`fairlead gc`: artefacts that nothing names any more, shown before they are removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fairlead.cli.context import opened, settings
from fairlead.cli.next_steps import program
from fairlead.cli.output import json_option, note, print_json, print_table

if TYPE_CHECKING:
    from fairlead.artifacts.garbage import Garbage

_HOUR = 3600.0
_EPILOG = """\b
Examples:
  fairlead gc
  fairlead gc --delete
"""


@click.command(epilog=_EPILOG)
@click.option("--delete", is_flag=True, help="Remove the artefacts that are listed.")
@click.option(
    "--older-than",
    "hours",
    metavar="HOURS",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Keep younger artefacts, and always those under 10 minutes old: a run may be about to "
    "name them.",
)
@json_option
@click.pass_context
def command(ctx: click.Context, hours: float, *, delete: bool, as_json: bool) -> None:
    """List the artefacts that nothing names; with --delete remove them."""
    from fairlead.control.installation import remove_artefacts, unused_artefacts

    with opened(ctx) as stores:
        garbage = unused_artefacts(stores, settings(ctx), older_than=hours * _HOUR)
        if as_json:
            print_json(_as_json(garbage, deleted=delete))
        else:
            _show(garbage)
        if delete:
            remove_artefacts(stores, garbage)
    if not as_json:
        _conclude(garbage, deleted=delete)


def _show(garbage: Garbage) -> None:
    rows: list[tuple[object, ...]] = [
        (each.digest, _megabytes(each.size)) for each in garbage.artefacts
    ]
    rows += [(path.name, _megabytes(size)) for path, size in garbage.temporaries.items()]
    if rows:
        print_table(("artefact", "MB"), rows)


def _conclude(garbage: Garbage, *, deleted: bool) -> None:
    count = len(garbage.artefacts) + len(garbage.temporaries)
    if not count:
        note("nothing to remove")
        return
    total = f"{count} files, {_megabytes(garbage.size)} MB"
    note(f"removed {total}" if deleted else f"{total}; `{program()} gc --delete` removes them")


def _as_json(garbage: Garbage, *, deleted: bool) -> dict[str, object]:
    return {
        "artefacts": garbage.artefacts,
        "temporaries": [{"path": path, "size": size} for path, size in garbage.temporaries.items()],
        "bytes": garbage.size,
        "deleted": deleted,
    }


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.3f}"
