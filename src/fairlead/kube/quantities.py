"""Quantities as Kubernetes writes them: 500m, 1.5, 512Mi, 10G."""

from __future__ import annotations

import re
from decimal import Decimal

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([a-zA-Z]*|[eE][0-9]+)")
_UNITS = {"": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3")}
_UNITS |= {letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", start=1)}
_UNITS |= {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)}


def amount(quantity: str) -> Decimal:
    """The number that a quantity stands for.

    Raises:
        ValueError: It is no quantity.
    """
    found = _QUANTITY.fullmatch(quantity)
    if found is None:
        raise ValueError(f"{quantity!r} is no quantity such as 500m, 512Mi or 10G")
    number, unit = found.groups()
    if unit in _UNITS:
        return Decimal(number) * _UNITS[unit]
    if unit[:1] in {"e", "E"} and unit[1:].isdecimal():
        return Decimal(number).scaleb(int(unit[1:]))
    raise ValueError(f"{quantity!r}: {unit!r} is no unit of Kubernetes")
