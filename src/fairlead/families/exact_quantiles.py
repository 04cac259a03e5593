"""The values of columns at given ranks, counted from rows that come in blocks, in any order.

A float32 is made an unsigned number of 32 bits that sorts as it does, and these are found a few
bits at a time: of the values that begin with the bits known so far, it is counted how many go on
with each pattern of the next ones, which tells what the values at the ranks go on with. Counts of
blocks are added up, so that whoever counts them, and in whatever order, finds the same values.
Memory is that of the counts, however many rows there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Counts: TypeAlias = NDArray[np.int64]
    Keys: TypeAlias = NDArray[np.uint32]

_BITS = (14, 6, 6, 6)
"""How many are found at a time, from the highest on."""
_SIGN = np.uint32(1 << 31)
ROUNDS = len(_BITS)
"""So often all rows are counted."""


def most_cells(most: int) -> int:
    """The most counts that a round can have of a column of which so many values are looked for."""
    return max(1 << _BITS[0], (most + 1) << max(_BITS[1:]))


def _none() -> Keys:
    return np.zeros(1, np.uint32)  # of the one pattern of no bits


def _nothing() -> Counts:
    return np.zeros(1, np.int64)


@dataclass(frozen=True, kw_only=True)
class ColumnSearch:
    """What is known of one column after some rounds.

    Args:
        most: Values that it may have for all of them to be found; of more, those at `most` ranks,
            as many rows between each two, and the largest are.
        round_: How often the rows were counted.
        prefixes: The first bits of the values that are looked for, rising.
        before: How many values are below all that begin with each of these.
        rows: How many values there are.
        all_found: Whether these are the prefixes of all values.
    """

    most: int
    round_: int = 0
    prefixes: Keys = field(default_factory=_none)
    before: Counts = field(default_factory=_nothing)
    rows: int = 0
    all_found: bool = True

    @property
    def cells(self) -> int:
        """How many counts the next round has."""
        return len(self.prefixes) << _BITS[self.round_]

    def count(self, column: NDArray[np.float32]) -> Counts:
        """Of these values, how many go on how: [cells]."""
        bits, below = _BITS[self.round_], sum(_BITS[self.round_ + 1 :])
        patterns = np.sort(_keys(column)) >> np.uint32(below)
        starts = np.flatnonzero(np.diff(patterns, prepend=~patterns[:1]))
        found, rows = patterns[starts], np.diff(starts, append=len(patterns))
        first = found >> np.uint32(bits) if self.round_ else np.zeros_like(found)
        place = np.searchsorted(self.prefixes, first)
        known = place < len(self.prefixes)
        known[known] = self.prefixes[place[known]] == first[known]
        counts = np.zeros(self.cells, np.int64)
        low = found[known] & np.uint32((1 << bits) - 1)
        counts[(place[known] << bits) | low] = rows[known]
        return counts

    def next(self, counts: Counts) -> ColumnSearch:
        """What is known once all rows are counted."""
        bits = _BITS[self.round_]
        there = np.flatnonzero(counts)
        parents, sizes = there >> bits, counts[there]
        prefixes = (self.prefixes[parents] << np.uint32(bits)) | (there & ((1 << bits) - 1))
        whole = np.cumsum(sizes) - sizes
        first = np.searchsorted(parents, parents)  # of the same parent
        before = self.before[parents] + whole - whole[first]
        rows = self.rows if self.round_ else int(counts.sum())
        all_found = self.all_found and len(there) <= self.most
        if not all_found:
            ranks = np.append(_ranks(rows, self.most), rows - 1)
            has = np.searchsorted(ranks, before) < np.searchsorted(ranks, before + sizes)
            prefixes, before = prefixes[has], before[has]
        return ColumnSearch(
            most=self.most,
            round_=self.round_ + 1,
            prefixes=prefixes.astype(np.uint32),
            before=before,
            rows=rows,
            all_found=all_found,
        )

    def values(self) -> tuple[NDArray[np.float32], np.float32]:
        """Those that were looked for, rising, and the largest of all; after the last round.

        All values of a column that has no more than `most`; of others those at its ranks.
        """
        values = _values(self.prefixes)
        if self.all_found:
            return values, values[-1]
        at = np.searchsorted(self.before, _ranks(self.rows, self.most), side="right") - 1
        return values[np.unique(at)], values[-1]


def counted(
    blocks: Iterable[NDArray[Any]], searches: Sequence[ColumnSearch], columns: slice
) -> Counts:
    """The counts of these rows for the next round of some columns, one after another.

    Args:
        blocks: [rows, all columns].
        searches: Of these columns, all in the same round.
        columns: Which they are.
    """
    sums = [np.zeros(search.cells, np.int64) for search in searches]
    for block in blocks:
        by_column = np.ascontiguousarray(block[:, columns].T, np.float32)
        for search, own, column in zip(searches, sums, by_column, strict=True):
            np.add(own, search.count(column), out=own)
    return np.concatenate(sums)


def advanced(searches: Sequence[ColumnSearch], counts: Counts) -> list[ColumnSearch]:
    """The searches after a round, by what `counted` gave of all rows together."""
    ends = np.cumsum([search.cells for search in searches])[:-1]
    return [search.next(own) for search, own in zip(searches, np.split(counts, ends), strict=True)]


def _ranks(rows: int, most: int) -> Counts:
    """Those that part the rows into `most` equal parts, from that of the least."""
    return np.arange(most, dtype=np.int64) * rows // most


def _keys(column: NDArray[np.float32]) -> Keys:
    """Numbers that sort as the values do; there is none of a missing one, and one of zero."""
    present = column[~np.isnan(column)] + np.float32(0)
    bits = present.view(np.uint32)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _values(keys: Keys) -> NDArray[np.float32]:
    return np.where(keys & _SIGN, keys & ~_SIGN, ~keys).astype(np.uint32).view(np.float32)
