"""The dialect of a text file: how its records are parted, and how its cells are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairlead.data.lexicon import MISSING

if TYPE_CHECKING:
    from fairlead.spec.document import Data


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a text file is written; the keys of the spec's section `data` of these names.

    Args:
        separator: Between cells; None to find out.
        decimal: Before the fraction of a number.
        thousands: Between the thousands of a number; None where nothing is.
        header: Whether the first record has the names; None to find out.
        columns: Names of the columns, where the file has none.
        encoding: Of the text.
        missing: Texts that stand for a missing value.
    """

    separator: str | None = None
    decimal: str = "."
    thousands: str | None = None
    header: bool | None = None
    columns: tuple[str, ...] | None = None
    encoding: str = "utf-8"
    missing: tuple[str, ...] = MISSING

    @property
    def is_plain(self) -> bool:
        """Whether numbers are written as Python writes them."""
        return self.decimal == "." and self.thousands is None

    @property
    def can_be_cut(self) -> bool:
        """Whether a file may be cut at its line ends, each part with the first record before it."""
        return self.columns is None and "\n".encode(self.encoding) == b"\n"

    @classmethod
    def of(cls, data: Data) -> Dialect:
        """What a spec says of its file."""
        return cls(
            separator=None if data.separator == "auto" else data.separator,
            decimal=data.decimal,
            thousands=data.thousands,
            header=None if data.header == "auto" else data.header,
            columns=data.columns,
            encoding=data.encoding,
            missing=MISSING if data.missing is None else data.missing,
        )


PLAIN = Dialect()
"""The usual way."""
