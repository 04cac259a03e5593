"""The frame: named columns of cells as a file has them, before it is known what they mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from fairlead.errors import InvalidData

Cells: TypeAlias = Any
"""An Arrow array of one column: strings as they were written, or numbers; null is missing."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Columns of cells.

    Args:
        names: One a column, as the file has them.
        cells: One array a column.
    """

    names: tuple[str, ...]
    cells: tuple[Cells, ...]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.cells[0]) if self.cells else 0

    def __getitem__(self, name: str) -> Cells:
        """The cells of the column of this name."""
        return self.cells[self.names.index(name)]

    def renamed(self, names: Sequence[str]) -> Frame:
        """The same cells under other names."""
        return Frame(names=tuple(names), cells=self.cells)


def named(names: Sequence[str], cells: Sequence[Cells]) -> Frame:
    """A frame whose names can be told apart.

    Raises:
        InvalidData: A column has no name, or two have the same.
    """
    for position, name in enumerate(names, start=1):
        if not name:
            raise InvalidData(
                f"data.source: column {position} has no name (an index that pandas wrote? "
                "to_csv(index=False) leaves it out)"
            )
    name, count = Counter(names).most_common(1)[0] if names else ("", 0)
    if count > 1:
        raise InvalidData(f"data.source: {count} columns are named {name!r}; names must differ")
    return Frame(names=tuple(names), cells=tuple(cells))
