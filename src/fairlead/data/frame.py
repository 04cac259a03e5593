"""The frame: named columns of cells as a file has them, before it is known what they mean."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, TypeAlias

from fairlead.data.dialect import PLAIN, Dialect
from fairlead.data.lexicon import EMPTY
from fairlead.errors import InvalidData
from fairlead.formatting import shown

Cells: TypeAlias = Any
"""An Arrow array of one column: strings as they were written, or numbers; null is missing."""

_INDEX = re.compile(r"Unnamed: \d+(?:\.\d+)*|__index_level_\d+__", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Columns of cells.

    Args:
        names: One a column, as the file has them.
        cells: One array a column.
        text: Names of the columns of strings that are text because the file says so; in others a
            string may be a number as it was written.
        index: Names of the columns that are the index of a pandas DataFrame.
        other: What the columns are that hold neither numbers nor text nor dates.
        dialect: Of a text file; None for files that say what their cells are.
        part: Name of the file, where the data has several.
        before: Rows of that file that come before these.
    """

    names: tuple[str, ...]
    cells: tuple[Cells, ...]
    text: frozenset[str] = frozenset()
    index: frozenset[str] = frozenset()
    other: Mapping[str, str] = field(default_factory=dict)
    dialect: Dialect | None = None
    part: str | None = None
    before: int = 0

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.cells[0]) if self.cells else 0

    def __getitem__(self, name: str) -> Cells:
        """The cells of the column of this name."""
        return self.cells[self._places[name]]

    @cached_property
    def _places(self) -> Mapping[str, int]:
        """Where the first column of each name is: an image has thousands."""
        return {name: at for at, name in reversed([*enumerate(self.names)])}

    @property
    def spelling(self) -> Dialect:
        """How numbers are written in strings: as the dialect says, or else the plain way."""
        return self.dialect or PLAIN

    @property
    def missing(self) -> tuple[str, ...]:
        """Texts that stand for a missing one."""
        return EMPTY if self.dialect is None else self.dialect.missing

    def place(self, row: int) -> str:
        """A row in a message: its number in its file, which is named where there are several."""
        number = f"row {self.before + row + 1}"
        return number if self.part is None else f"{self.part!r}, {number}"

    def renamed(self, names: Sequence[str]) -> Frame:
        """The same cells under other names."""
        return replace(self, names=tuple(names))


class Parts(Protocol):
    """Rows that lie in several files, and are read in parts."""

    @property
    def rows(self) -> int:
        """Of all files."""

    def first(self, memory: int) -> Frame:
        """Some of the first rows, with all columns; none where there are none."""

    def frames(self, names: Sequence[str], *, memory: int) -> Iterator[Frame]:
        """All rows in parts, in order.

        Args:
            names: The columns that are wanted.
            memory: Bytes that a part may take, with all that is made of it.

        Raises:
            InvalidData: A file is not what it must be.
        """


def named(
    names: Sequence[str],
    cells: Sequence[Cells],
    dialect: Dialect | None = None,
    *,
    wanted: Collection[str] | None = None,
) -> Frame:
    """A frame whose names can be told apart.

    Columns without a name before the first that has one are an index that pandas wrote; one
    without a name behind the last, and without values, is what a separator at the end of each line
    makes, and is left out.

    Args:
        names: Of the columns, as the file has them.
        cells: Of the columns.
        dialect: Of a text file.
        wanted: The columns that a model takes: the names that must be told apart; all if None.

    Raises:
        InvalidData: A column has no name, or two have the same.
    """
    given = _without_last(names, cells)
    first = next((at for at, name in enumerate(given) if name), 0)
    full = [name if at >= first else _index_name(at, given) for at, name in enumerate(given)]
    if wanted is None:
        _check_names(full, dialect)
    else:
        _check_unique([name for name in full if name in wanted], "leave one out of the file")
    return Frame(
        names=tuple(full),
        cells=tuple(cells[: len(full)]),
        index=frozenset(name for name in full if _INDEX.fullmatch(name)),
        dialect=dialect,
    )


def _index_name(at: int, given: Sequence[str]) -> str:
    """The name that pandas gives such a column, or one like it where that is taken."""
    name = f"Unnamed: {at}"
    while name in given:
        name += ".0"
    return name


def _without_last(names: Sequence[str], cells: Sequence[Cells]) -> Sequence[str]:
    is_empty = len(names) > 1 and not names[-1] and cells[-1].null_count == len(cells[-1])
    return names[:-1] if is_empty else names


def _check_names(names: Sequence[str], dialect: Dialect | None) -> None:
    for position, name in enumerate(names, start=1):
        if not name:
            others = ", or name all columns in data.columns with data.header: true"
            raise InvalidData(
                f"data.source: column {position} has no name; give it one in the file"
                f"{others if dialect else ''}"
            )
    given = "data.columns with data.header: true gives others"
    _check_unique(names, given if dialect else "rename one in the file")


def _check_unique(names: Sequence[str], way_on: str) -> None:
    name, count = Counter(names).most_common(1)[0] if names else ("", 0)
    if count > 1:
        raise InvalidData(
            f"data.source: {count} columns are named {shown(name)}; names must differ: {way_on}"
        )


_COPIES = 8  # of the rows that are read at a time: as Arrow has them, as numbers, as hashed words
_AT_ONCE = 64 << 20  # bytes of rows: more at a time is no faster


def rows_at_once(memory: int, width: int) -> int:
    """How many rows of a folder of files are read at a time.

    Args:
        memory: Bytes that they may take, with all that is made of them.
        width: Bytes of a row.
    """
    return max(1, min(memory // _COPIES, _AT_ONCE) // width)
