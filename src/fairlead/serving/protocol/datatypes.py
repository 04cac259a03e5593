"""The datatypes of the Open Inference Protocol, in JSON and in binary, as numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import Any

import msgspec
import numpy as np

from fairlead.data.lexicon import LARGEST_WHOLE
from fairlead.formatting import shown
from fairlead.serving.protocol.intake import number
from fairlead.serving.protocol.strict import Written

_WHOLE = re.compile(r"-?\d{1,20}", re.ASCII)  # as many digits as UINT64 has
_EXACT = float(LARGEST_WHOLE - 1)  # what reads as float64 beyond it may be another whole number


@dataclass(frozen=True, kw_only=True)
class Datatype:
    """A datatype.

    Args:
        name: As the protocol has it.
        stored: Of an element in binary; None for BYTES, whose elements differ in size.
        low: The least that an element may be.
        high: The most.
        plain: Within these bounds an element in JSON needs no second look.
        flat: Reads elements in one JSON array.
        nested: Reads elements in an array of rows.
    """

    name: str
    stored: np.dtype[Any] | None
    low: float
    high: float
    plain: tuple[float, float]
    flat: msgspec.json.Decoder[list[Any]]
    nested: msgspec.json.Decoder[list[list[Any]]]

    @property
    def floating(self) -> bool:
        """Whether elements may have a fraction, or be missing."""
        return self.name.startswith("FP")


def _datatype(name: str, stored: str | None, element: Any) -> Datatype:
    low, high = _range(name, stored)
    return Datatype(
        name=name,
        stored=None if stored is None else np.dtype(stored),
        low=low,
        high=high,
        plain=(max(low, -_EXACT), min(high, _EXACT)),
        flat=msgspec.json.Decoder(list[element]),
        nested=msgspec.json.Decoder(list[list[element]]),
    )


def _range(name: str, stored: str | None) -> tuple[float, float]:
    if stored is None or name == "BOOL":
        return 0.0, 1.0
    kind = np.dtype(stored)
    limits = np.finfo(kind) if kind.kind == "f" else np.iinfo(kind)
    return float(limits.min), float(limits.max)


BYTES = _datatype("BYTES", None, str | None)
DATATYPES: Mapping[str, Datatype] = {
    kind.name: kind
    for kind in (
        _datatype("BOOL", "u1", bool),
        *(_datatype(f"INT{bits}", f"<i{bits // 8}", int) for bits in (8, 16, 32, 64)),
        *(_datatype(f"UINT{bits}", f"<u{bits // 8}", int) for bits in (8, 16, 32, 64)),
        *(_datatype(f"FP{bits}", f"<f{bits // 8}", float | None) for bits in (16, 32, 64)),
        BYTES,
    )
}


def datatype(name: str) -> Datatype:
    """The datatype of this name.

    Raises:
        ValueError: There is none.
    """
    try:
        return DATATYPES[name]
    except KeyError:
        known = ", ".join(DATATYPES)
        raise ValueError(f"{shown(name)} is no datatype; there are {known}") from None


def element(cell: Any, kind: Datatype) -> float:
    """An element of a tensor of numbers, as it stands in JSON; null is a missing one.

    Args:
        cell: As strict.written reads it.
        kind: Of the tensor.

    Raises:
        ValueError: It is none of this datatype.
    """
    match cell:
        case None if kind.floating:
            return nan
        case bool() if kind.name == "BOOL":
            return float(cell)
        case Written() if kind.name != "BOOL":
            return _of(number(cell), kind)
        case _:
            raise ValueError(f"{named(cell)} is no {kind.name}")


def exact_element(cell: Any, kind: Datatype) -> float:
    """An element of a tensor of numbers, with every digit of a whole one.

    Args:
        cell: As it was decoded, or as strict.written reads it.
        kind: Of the tensor.

    Raises:
        ValueError: It is none of this datatype.
    """
    if type(cell) is float:
        return _of(cell, kind)
    if kind.floating or kind.name == "BOOL":
        return element(cell, kind)
    if type(cell) is Written and _WHOLE.fullmatch(cell):
        cell = int(cell)
    if type(cell) is not int:
        return element(cell, kind)
    assert kind.stored
    if not np.iinfo(kind.stored).min <= cell <= np.iinfo(kind.stored).max:
        raise ValueError(f"{shown(cell)} is beyond {kind.name}")
    return cell


def _of(value: float, kind: Datatype) -> float:
    if not kind.floating and not value.is_integer():
        raise ValueError(f"{value} is no whole number, as {kind.name} is")
    if not kind.low <= value <= kind.high:
        raise ValueError(f"{value:.17g} is beyond {kind.name}")
    return float(np.float16(value)) if kind.name == "FP16" else value


def named(cell: Any) -> str:
    """An element in a message."""
    match cell:
        case None:
            return "null"
        case bool():
            return str(cell).lower()
        case Written():
            return str(cell)[:20]
        case str():
            return f"the text {shown(cell)}"
        case _:
            return "an array or an object"
