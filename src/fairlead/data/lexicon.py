"""Texts that mean missing, and the largest numbers: the same for files and for requests.

No library is imported here, since serving processes need it.
"""

from __future__ import annotations

from collections.abc import Sequence

MISSING = ("", "NA", "N/A", "NaN", "nan", "NAN", "null", "NULL", "Null")
LARGEST = (2.0 - 2.0**-23) * 2.0**127  # of float32, which exported models take and give
LARGEST_WHOLE = 2**53  # float64 holds every whole number up to here, and not every one beyond

_MISSING = frozenset(MISSING)


def meant(text: str) -> str:
    """A text without the blanks around it; empty where it means missing."""
    trimmed = text.strip()
    return "" if trimmed in _MISSING else trimmed


def meanings(texts: Sequence[str]) -> list[str]:
    """What each of many texts says, as `meant` has it, in half the time."""
    trimmed = list(map(str.strip, texts))
    if _MISSING.isdisjoint(trimmed):
        return trimmed
    return ["" if text in _MISSING else text for text in trimmed]
