"""`fairlead gc`: artefacts that nothing names any more.

Belongs here: what counts as named, and showing what goes before it goes. Does not: the store and
the ledger.

Named is an artefact that a row of the ledger names (a table, a candidate, a manifest, a source),
and whatever stands in one of those as a quoted digest: tables name their arrays so, manifests
their files.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fairlead.cli.opened import opened
from fairlead.cli.output import json_option, note, print_json, print_table

if TYPE_CHECKING:
    from fairlead.artifacts import Artifacts, Stored
    from fairlead.ledger.ledger import Ledger
    from fairlead.records import Digest

_QUOTED = re.compile(rb'"([0-9a-f]{64})"')
_HOUR = 3600.0
_EPILOG = """\b
Examples:
  fairlead gc
  fairlead gc --delete
"""


@dataclass(frozen=True, kw_only=True)
class Garbage:
    """What nothing names any more and nobody has just written."""

    artefacts: Sequence[Stored]
    temporaries: Mapping[Path, int]  # with their bytes

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return sum(each.size for each in self.artefacts) + sum(self.temporaries.values())


@click.command(epilog=_EPILOG)
@click.option("--delete", is_flag=True, help="Remove what is listed.")
@click.option(
    "--older-than",
    "hours",
    metavar="HOURS",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Keep what is younger: a run may be about to name it.",
)
@json_option
@click.pass_context
def command(ctx: click.Context, hours: float, *, delete: bool, as_json: bool) -> None:
    """List the artefacts that nothing names, with --delete remove them."""
    with opened(ctx) as (ledger, artifacts):
        garbage = collect(ledger, artifacts, older_than=hours * _HOUR)
        if as_json:
            print_json(_as_json(garbage, deleted=delete))
        else:
            _show(garbage)
        if delete:
            _remove(garbage, collect(ledger, artifacts, older_than=hours * _HOUR), artifacts)
    if not as_json:
        _conclude(garbage, deleted=delete)


def collect(ledger: Ledger, artifacts: Artifacts, *, older_than: float) -> Garbage:
    """What could go.

    Args:
        ledger: Its rows name what is kept.
        artifacts: The store.
        older_than: Seconds; what is younger is kept.

    Raises:
        Corrupt: What an artefact names cannot be told, so nothing may go.
    """
    # First the files, then the rows: what a run stores and names meanwhile is in neither list.
    stored = list(artifacts.all())
    kept = named(ledger.roots.digests(), artifacts)
    before = time.time() - older_than
    return Garbage(
        artefacts=sorted(unnamed(stored, kept, before=before), key=lambda each: each.digest),
        temporaries={
            path: _size(path) for path in artifacts.stale_temporaries(older_than=older_than)
        },
    )


def named(roots: Iterable[Digest], artifacts: Artifacts) -> set[Digest]:
    """The roots, and what stands in them as a quoted digest."""
    kept: set[Digest] = set()
    for root in roots:
        kept |= {root, *quoted(artifacts.get(root))}
    return kept


def quoted(content: bytes) -> set[Digest]:
    """The digests that stand in quotes in the content."""
    return {digest.decode("ascii") for digest in _QUOTED.findall(content)}


def unnamed(stored: Iterable[Stored], kept: set[Digest], *, before: float) -> Sequence[Stored]:
    """What is not kept and was last written before that time."""
    return [each for each in stored if each.digest not in kept and each.modified < before]


def _remove(shown: Garbage, found_again: Garbage, artifacts: Artifacts) -> None:
    """Remove what was shown, save what a run has come to name or write since."""
    still = {each.digest for each in found_again.artefacts}
    for each in shown.artefacts:
        if each.digest in still:
            artifacts.delete(each.digest)
    for path in shown.temporaries.keys() & found_again.temporaries.keys():
        path.unlink(missing_ok=True)


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
    note(f"removed {total}" if deleted else f"{total}; `fairlead gc --delete` removes them")


def _as_json(garbage: Garbage, *, deleted: bool) -> dict[str, object]:
    return {
        "artefacts": garbage.artefacts,
        "temporaries": [{"path": path, "size": size} for path, size in garbage.temporaries.items()],
        "bytes": garbage.size,
        "deleted": deleted,
    }


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # its writer was alive after all
        return 0


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.3f}"
