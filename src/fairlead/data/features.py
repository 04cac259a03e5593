"""Rows of features, as they are handed on: numbers and texts apart.

Rows of a table are copies, or where they are too many for that, `FeatureRows`: they stay in the
files that the table's arrays are maps of, and are had in blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK = 32 << 20
"""Bytes of features that are looked at together, where all of them need not be."""
MEMORY = 1 << 30
"""Bytes of rows that may be in memory, where nobody says how many."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """Rows of feature columns: numbers and text apart, each in the order of the columns.

    Args:
        numbers: float64 [rows, numbers of the signature]; a missing number is NaN.
        text: int32 [rows, text columns]: codes into `categories`; a missing text is -1.
        categories: For each text column its texts, sorted.
    """

    numbers: NDArray[np.float64]
    text: NDArray[np.int32]
    categories: tuple[tuple[str, ...], ...] = ()

    def __len__(self) -> int:
        """Number of rows."""
        return int(self.numbers.shape[0])

    @property
    def size(self) -> int:
        """Bytes of its arrays."""
        return int(self.numbers.nbytes + self.text.nbytes)

    def take(self, rows: NDArray[np.intp]) -> Features:
        """These rows, in this order, as a copy."""
        return Features(
            numbers=self.numbers[rows], text=self.text[rows], categories=self.categories
        )

    def blocks(self) -> Iterator[Features]:
        """All rows, some at a time; at least one block, which may be empty."""
        for rows in block_slices(self):
            yield Features(
                numbers=self.numbers[rows], text=self.text[rows], categories=self.categories
            )


@dataclass(frozen=True, kw_only=True)
class FeatureRows:
    """Some rows of features, which are read when they are asked for.

    Args:
        features: Has them.
        rows: Which they are, in their order.
        memory: Bytes of them that may be in memory at a time, where columns are needed whole.
    """

    features: Features
    rows: NDArray[np.intp]
    memory: int = MEMORY

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    @property
    def categories(self) -> tuple[tuple[str, ...], ...]:
        """For each text column its texts, sorted."""
        return self.features.categories

    @property
    def size(self) -> int:
        """Bytes that they would take."""
        return self.features.size * len(self.rows) // max(1, len(self.features))

    def take(self, rows: NDArray[np.intp]) -> FeatureRows:
        """These of the rows, in this order; nothing is read."""
        return replace(self, rows=self.rows[rows])

    def read(self, rows: slice | NDArray[np.intp]) -> Features:
        """These of the rows, as a copy."""
        return self.features.take(self.rows[rows])

    def blocks(self) -> Iterator[Features]:
        """All rows, some at a time; at least one block, which may be empty."""
        return map(self.read, block_slices(self))


Rows: TypeAlias = Features | FeatureRows


def taken(features: Features, rows: NDArray[np.intp], *, memory: int | None) -> Rows:
    """These rows: a copy, unless the features take more bytes than this; None for no bound."""
    if memory is None or features.size <= memory:
        return features.take(rows)
    return FeatureRows(features=features, rows=rows, memory=memory)


def block_slices(rows: Rows) -> Iterator[slice]:
    """The blocks of these rows."""
    at_once = max(1, BLOCK * len(rows) // max(1, rows.size))
    for start in range(0, max(1, len(rows)), at_once):
        yield slice(start, start + at_once)
