"""The rules of cells that both protocols share: which numbers are refused, what a text means.

They are the rules of `fairlead predict` (data/cells.py), so that the same rows are the same to the
model whichever way they come: a number goes through float64 to float32, -0.0 is 0.0, a text loses
the blanks around it, and the texts that the version recorded as missing are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import isinf
from operator import itemgetter
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from fairlead.data.lexicon import LARGEST, LARGEST_WHOLE, meanings, missing_texts
from fairlead.errors import Invalid, TooLarge
from fairlead.formatting import shown
from fairlead.records import Signature
from fairlead.serving.protocol.strict import Written
from fairlead.serving.protocol.typed_columns import LACKING, Absent, TypedColumn, typed_columns
from fairlead.serving.protocol.wording import refused

Tensors: TypeAlias = dict[str, NDArray[Any]]
Pick: TypeAlias = Callable[[Any], tuple[Any, ...]]

INEXACT = "a whole number beyond 2**53, which is not kept exactly"

_ROOM = 1024  # JSON values that a request may hold beside its rows and columns
MOST = 3 << 19  # values of one request that are read one by one: a quarter of a second
_EACH = 16  # twice these say what one column is, where each is an input of its own
_NEGATIVE_ZERO = np.iinfo(np.int32).min  # the bits of float32's -0.0, read as an int32


@dataclass(frozen=True, kw_only=True)
class Intake:
    """The columns of a model, by kind.

    Args:
        columns: Names of all of them, in order, as a row has them.
        known: The same, to look names up in.
        tensors: Its inputs, each with the names of its columns; a date is several numbers.
        numbers: Names of the number columns whose numbers it gets as they are.
        text: Names of the text columns whose texts it gets as they are.
        typed: The other columns.
        places: Which columns `numbers` and `text` are of the inputs.
        width: Of a row, by columns or in the model's inputs.
        mixed: Whether a row may hold anything but numbers.
        absent: Texts that stand for a missing one.
        pick_numbers: The values of `numbers` out of a row by name.
        pick_text: The values of `text` out of a row by name.
    """

    columns: tuple[str, ...]
    known: frozenset[str]
    tensors: Mapping[str, tuple[str, ...]]
    numbers: tuple[str, ...]
    text: tuple[str, ...]
    typed: tuple[TypedColumn, ...]
    places: Mapping[str, NDArray[np.intp]]
    width: int
    mixed: bool
    absent: Absent
    pick_numbers: Pick = field(repr=False)
    pick_text: Pick = field(repr=False)

    def most_values(self, most_rows: int) -> int:
        """How many JSON values a request of this many rows may hold, with room for the rest."""
        return min(MOST, _ROOM + (most_rows + _EACH) * (2 * self.width + 1))

    def joined(self, plain: Tensors, typed: Sequence[NDArray[Any]], rows: int) -> Tensors:
        """The model's inputs, of those of its plain columns and of its typed ones.

        Args:
            plain: [rows, columns], each only where there are such columns.
            typed: What was read of each typed column.
            rows: How many.
        """
        if not self.typed:
            return plain
        inputs = {
            name: np.empty((rows, len(names)), np.float32 if name == "numbers" else np.object_)
            for name, names in self.tensors.items()
        }
        for name, values in plain.items():
            inputs[name][:, self.places[name]] = values
        for column, values in zip(self.typed, typed, strict=True):
            inputs[column.tensor][:, column.at] = values
        return inputs

    @classmethod
    def of(cls, signature: Signature) -> Intake:
        """What a model with this signature takes."""
        tensors = {"numbers": signature.numbers, "text": signature.text}
        typed = typed_columns(signature)
        taken = {
            (column.tensor, at) for column in typed for at in range(column.at.start, column.at.stop)
        }
        places = {
            tensor: [at for at in range(len(names)) if (tensor, at) not in taken]
            for tensor, names in tensors.items()
        }
        numbers, text = (tuple(tensors[name][at] for at in places[name]) for name in tensors)
        columns = tuple(column.name for column in signature.columns)
        return cls(
            columns=columns,
            known=frozenset(columns),
            tensors={name: names for name, names in tensors.items() if names},
            numbers=numbers,
            text=text,
            typed=typed,
            places={tensor: np.array(at, dtype=np.intp) for tensor, at in places.items()},
            width=max(len(columns), sum(map(len, tensors.values()))),
            mixed=bool(text or typed),
            absent=missing_texts(signature.missing),
            pick_numbers=picking(numbers),
            pick_text=picking(text),
        )


def picking(keys: Sequence[Any]) -> Pick:
    """Values of a row at these keys, in their order."""
    if len(keys) > 1:  # of one key, itemgetter gives the bare value
        return itemgetter(*keys)
    return lambda row: tuple(row[key] for key in keys)


class _Same:
    """A signature that equals itself only: to compare the columns costs more than to parse."""

    __slots__ = ("signature",)

    def __init__(self, signature: Signature) -> None:
        self.signature = signature

    def __hash__(self) -> int:
        return id(self.signature)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.signature is other.signature


def intake(signature: Signature) -> Intake:
    """What a model takes; made once for each signature that is in use."""
    return _made(_Same(signature))


@lru_cache(maxsize=256)
def _made(same: _Same) -> Intake:
    return Intake.of(same.signature)


# ---- numbers --------------------------------------------------------------------------------


def near(values: NDArray[np.floating[Any]], bound: float) -> bool:
    """Whether no number can be missing, or farther from 0 than this; False says nothing.

    The sum of the squares is no less than the largest of them; the margin is for how that one is
    rounded. It costs a third of a look at each number, and does for all but odd data.

    Args:
        values: Of any shape.
        bound: At most the largest float32; nothing is near where it is less than 1.
    """
    return bound >= 1 and float(np.vdot(values, values)) <= bound * bound / 2


def single(
    values: NDArray[np.float64], names: Sequence[str], *, missing: bool, where: str = ""
) -> NDArray[np.float32]:
    """Numbers as the model takes them.

    Args:
        values: float64 [rows, columns], NaN where missing.
        names: Of the columns.
        missing: Whether the model takes missing numbers.
        where: Begins a message.

    Returns:
        float32 [rows, columns].

    Raises:
        Invalid: One is not finite, beyond float32, or missing and may not be.
    """
    if not near(values, LARGEST):
        _check(values, names, missing=missing, where=where)
    return (values + 0.0).astype(np.float32)


def as_they_are(
    values: NDArray[np.float32], names: Sequence[str], *, missing: bool, where: str
) -> NDArray[np.float32]:
    """As `single`, of what is float32 already; it is not copied unless a -0.0 is in it."""
    if not near(values, LARGEST):
        _check(values, names, missing=missing, where=where)
    if values.view(np.int32).min() == _NEGATIVE_ZERO:
        return values + np.float32(0.0)
    return values


def _check(values: NDArray[Any], names: Sequence[str], *, missing: bool, where: str) -> None:
    worst = np.abs(values)
    odd = worst > LARGEST if missing else ~(worst <= LARGEST)
    if odd.any():
        row, column = divmod(int(odd.argmax()), values.shape[1])
        value = float(values[row, column])
        raise refused(where, row, names[column], _why(value))


def _why(value: float) -> str:
    if np.isnan(value):
        return f"the number {LACKING} numbers"
    if np.isinf(value):
        return f"{value} is not a finite number"
    return f"{value} is beyond 3.4e38, the largest number of a model"


def number(cell: Written) -> float:
    """A number as it was written.

    Raises:
        ValueError: Float64 does not hold it, or not exactly though it is whole.
    """
    value = float(cell)
    if isinf(value):
        raise ValueError(f"{shown(str(cell))} is beyond 3.4e38, the largest number of a model")
    if LARGEST_WHOLE <= abs(value) <= LARGEST and cell.lstrip("-").isdigit():
        check_whole(int(cell))
    return value


def check_whole(value: int) -> None:
    """Refuse a whole number that float64 does not keep.

    Raises:
        ValueError: It is one.
    """
    if abs(value) > LARGEST_WHOLE:
        raise ValueError(f"{value} is {INEXACT}")


# ---- text -----------------------------------------------------------------------------------


def texts(cells: Sequence[str | int | None], width: int, absent: Absent) -> NDArray[np.object_]:
    """Texts as the model takes them.

    Args:
        cells: Row by row, a missing one None.
        width: Of a row.
        absent: Texts that stand for a missing one.

    Returns:
        object [rows, columns], a missing one empty.
    """
    plain = set(map(type, cells)) == {str}
    said = cells if plain else ["" if cell is None else str(cell) for cell in cells]
    meant = meanings(cast("Sequence[str]", said), absent)
    return np.array(meant, dtype=np.object_).reshape((-1, width))


# ---- rows -----------------------------------------------------------------------------------


def check_rows(rows: int, most: int) -> None:
    """Refuse no rows, and too many.

    Raises:
        Invalid: There are none.
        TooLarge: There are more than may be.
    """
    if rows < 1:
        raise Invalid("the request has no rows: there is nothing to predict")
    if rows > most:
        raise TooLarge(f"the request has {rows} rows; at most {most} may be asked at once")
