"""A client's names and values in error messages: where the fault is, in one short line."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from reprlib import Repr

from fairlead.errors import Invalid
from fairlead.formatting import did_you_mean

_NAMED = 20  # names that a message holds
_SHOWN = 80  # characters of a client's text that a message holds
_TOLD = 200  # characters of a library's message that a message holds
_COMPARED = 500  # names that a wrong one is compared with, for it takes long: at worst 0.05 s
_NEAR = 40  # characters of it that are compared


class _Cut(Repr):
    """Shows a value in a few characters, without a walk through all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = _SHOWN


_CUT = _Cut()


def shown(value: object) -> str:
    """A client's value in a message, cut where it is long."""
    return _CUT.repr(value)


def brief(error: Exception) -> str:
    """What an error of a library says, which may quote what was sent: one line, cut."""
    text = " ".join(str(error).split())
    return text if len(text) <= _TOLD else f"{text[:_TOLD]}..."


def listed(names: Collection[str]) -> str:
    """Some names in a message."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(shown(name) for name in islice(names, _NAMED)) + more


def hint(name: str, known: Collection[str]) -> str:
    """A clause that ends a message: the nearest name, or those that there are."""
    near = did_you_mean(name[:_NEAR], islice(known, _COMPARED))
    return near or f"; there is {listed(known)}"


def refused(where: str, row: int, column: str, why: str) -> Invalid:
    """Why a cell is not taken; rows count from 1, as people do."""
    return Invalid(f"{where}row {row + 1}, column {shown(column)}: {why}")
