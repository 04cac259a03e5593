"""A client's names and values in error messages: where the fault is, in one short line."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice

from fairlead.errors import Invalid
from fairlead.formatting import did_you_mean, quoted, shown

_TOLD = 200  # characters of a library's message that a message holds
_COMPARED = 500  # names that a wrong one is compared with, for it takes long: at worst 0.05 s
_NEAR = 40  # characters of it that are compared


def brief(error: Exception) -> str:
    """What an error of a library says, which may quote what was sent: one line, cut."""
    text = " ".join(str(error).split())
    return text if len(text) <= _TOLD else f"{text[:_TOLD]}..."


def hint(name: str, known: Collection[str]) -> str:
    """A clause that ends a message: the nearest name, or those that there are."""
    near = did_you_mean(name[:_NEAR], islice(known, _COMPARED))
    return near or f"; there is {quoted(known)}"


def refused(where: str, row: int, column: str, why: str) -> Invalid:
    """Why a cell is not taken; rows count from 1, as people do."""
    return Invalid(f"{where}row {row + 1}, column {shown(column)}: {why}")
