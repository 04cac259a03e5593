"""What texts mean: missing values, truth values, numbers; and the largest numbers.

It is the same for files and for requests. No library is imported here, since serving processes need
it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence

ONCE_MISSING = ("", "NA", "N/A", "NaN", "nan", "NAN", "null", "NULL", "Null")
"""What stood for a missing value before `data.missing` was a key."""
MISSING = (
    *ONCE_MISSING,
    *("n/a", "<NA>", "#NA", "#N/A", "#N/A N/A", "None", "-nan", "-NaN"),
    *("1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)
"""What stands for a missing value in text files: pandas' list, and NAN and Null."""
EMPTY = ("",)
"""What stands for a missing text where files tell null from text."""
NO_TRUTH = "no truth value (true, false, 1 or 0)"
TRUE, FALSE = ("True", "true", "TRUE"), ("False", "false", "FALSE")
LARGEST = (2.0 - 2.0**-23) * 2.0**127  # of float32, which exported models take and give
LARGEST_WHOLE = 2**53  # float64 holds every whole number up to here, and not every one beyond
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)

_WHOLE = re.compile(r"([+-]?)0*(\d+)", re.ASCII)
_POINT = re.compile(r"([+-]?)0*(\d*\.\d*)", re.ASCII)
_NOT_ZERO = re.compile(r"[^eE]*[1-9]", re.ASCII)
_TRUTH = dict.fromkeys(TRUE, "True") | dict.fromkeys(FALSE, "False")


def missing_texts(recorded: Collection[str] | None) -> frozenset[str]:
    """The texts that stand for a missing one, given what a signature has recorded of them."""
    return frozenset(ONCE_MISSING if recorded is None else recorded)


def meant(text: str, missing: Collection[str] = ONCE_MISSING) -> str:
    """A text without the blanks around it; empty where it stands for a missing one."""
    trimmed = text.strip()
    return "" if trimmed in missing else trimmed


def meanings(texts: Sequence[str], missing: Collection[str] = ONCE_MISSING) -> list[str]:
    """What each of many texts says, as `meant` has it, in half the time."""
    trimmed = list(map(str.strip, texts))
    if not set(trimmed) & set(missing):
        return trimmed
    return ["" if text in missing else text for text in trimmed]


def number_text(value: float) -> str:
    """The text that a number is known by, where it is used as text: 1.0 and 1 are "1"."""
    whole = value.is_integer() and abs(value) <= LARGEST_WHOLE
    return str(int(value)) if whole else repr(value)


def as_number(text: str) -> str:
    """The text that a number is known by, given how it was written; another text as it is.

    One that float64 has only as infinite or as 0 (an id such as 39e1804) is known as it is written,
    and one beyond 2**53 by all of its digits.
    """
    if text.isdigit() and text[0] != "0":  # what most codes are
        return text
    if whole := _WHOLE.fullmatch(text):  # int() takes 4,300 digits, and these may be more
        sign, digits = whole.groups()
        return f"-{digits}" if sign == "-" and digits != "0" else digits
    if not NUMBER.fullmatch(text):
        return text
    value = float(text)
    if abs(value) > LARGEST_WHOLE and (point := _POINT.fullmatch(text)):
        return point[1].replace("+", "") + point[2].rstrip("0").rstrip(".")
    is_kept = math.isfinite(value) and (value != 0 or not _NOT_ZERO.match(text))
    return number_text(value) if is_kept else text


def as_truth(text: str) -> str:
    """True or False, however it was written (also as 1 or 0); of another text, `as_number`."""
    if text in _TRUTH:
        return _TRUTH[text]
    number = as_number(text)
    return {"1": "True", "0": "False"}.get(number, number)
