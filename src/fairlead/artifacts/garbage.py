"""Artefacts that nothing names any more.

Named is an artefact that a root names (a row of the ledger: a table, a candidate, a manifest, a
source, the details of a route), and whatever stands in one of those as a quoted digest: tables name
their arrays so, manifests their files.

An artefact is stored before it is named, so what was stored recently stays: a run is about to name
it. Storing it again renews its age.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fairlead.artifacts.backend import Stored
from fairlead.artifacts.store import Artifacts
from fairlead.records import Digest

RECENT = 600.0
"""Seconds in which whoever has stored an artefact names it; the files of a table or of a model are
stored one after the other, and named by one that is stored last."""
_QUOTED = re.compile(rb'"([0-9a-f]{64})"')


class Roots(Protocol):
    """What names artefacts."""

    def digests(self) -> Sequence[Digest]:
        """Every digest that is named."""
        ...


@dataclass(frozen=True, kw_only=True)
class Garbage:
    """What nothing names any more and nobody has just written."""

    artefacts: Sequence[Stored]
    temporaries: Mapping[Path, int]  # with their bytes

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return sum(each.size for each in self.artefacts) + sum(self.temporaries.values())


def collect(
    roots: Roots, artifacts: Artifacts, *, older_than: float, besides: Iterable[Digest] = ()
) -> Garbage:
    """What could go.

    Args:
        roots: They name what is kept.
        artifacts: The store.
        besides: What else is kept, whether it is there or not.
        older_than: Seconds; what was stored later is kept, and so is what is younger than RECENT.

    Raises:
        Corrupt: What an artefact names cannot be read, so nothing may go.
    """
    # First the files, then the rows: what a run stores and names meanwhile is in neither list.
    stored = list(artifacts.all())
    kept = named(roots.digests(), artifacts).union(besides)
    age = max(older_than, RECENT)
    old = [each for each in stored if each.modified < time.time() - age]
    return Garbage(
        artefacts=sorted(unnamed(old, kept), key=lambda each: each.digest),
        temporaries={path: _size(path) for path in artifacts.stale_temporaries(older_than=age)},
    )


def remove(garbage: Garbage, roots: Roots, artifacts: Artifacts) -> None:
    """Remove it, save what has come to be named or been stored again since it was collected."""
    kept = named(roots.digests(), artifacts)
    for each in unnamed(garbage.artefacts, kept):
        artifacts.delete(each.digest, unless_after=each.modified)
    for path in garbage.temporaries:
        path.unlink(missing_ok=True)


def named(roots: Iterable[Digest], artifacts: Artifacts) -> set[Digest]:
    """The roots, and what stands in them as a quoted digest."""
    kept: set[Digest] = set()
    for root in roots:
        kept |= {root, *quoted(artifacts.get(root))}
    return kept


def quoted(content: bytes) -> set[Digest]:
    """The digests that stand in quotes in the content."""
    return {digest.decode("ascii") for digest in _QUOTED.findall(content)}


def unnamed(stored: Iterable[Stored], kept: set[Digest]) -> list[Stored]:
    """What is not kept."""
    return [each for each in stored if each.digest not in kept]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # its writer was alive after all
        return 0
