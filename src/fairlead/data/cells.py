"""Cells: one column of a file as numbers or as text.

Which texts are numbers, which mean missing, and which numbers are refused because a model would not
get the value that the file has.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fairlead.data.frame import Cells
from fairlead.data.lexicon import LARGEST, LARGEST_WHOLE, MISSING

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class CellError:
    """A cell that is no number a model can take."""

    row: int  # from 0
    cell: str
    why: str


def written(strings: Sequence[str | None] | Cells) -> Cells:
    """Cells of a text file: without the blanks around them, missing ones as null."""
    array = _array(strings) if isinstance(strings, (list, tuple)) else strings
    trimmed = pc.utf8_trim_whitespace(array)
    missing = pc.is_in(trimmed, value_set=_array(MISSING))
    return _one(pc.if_else(missing, _scalar(None, pa.string()), trimmed))


# pa.array, pa.scalar and to_numpy would import pandas first, where it is installed: half a second.


def _array(strings: Sequence[str | None]) -> Cells:
    builder = pa.lib.StringBuilder()
    builder.append_values(strings)
    return builder.finish()


def _scalar(text: str | None, kind: pa.DataType) -> pa.Scalar[Any]:
    return pc.cast(_array([text]), kind)[0]


def _numpy(cells: Cells, missing: str) -> NDArray[Any]:
    """Numbers as an array that cannot be written to, missing ones as this number."""
    filled = pc.fill_null(cells, _scalar(missing, cells.type)) if cells.null_count else cells
    return np.from_dlpack(_one(filled))


def typed(array: Cells) -> Cells | None:
    """Cells of a typed file, or None where the type is neither numbers nor text."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return typed(_one(array).dictionary_decode())
    if pa.types.is_null(kind):
        return pa.nulls(len(array), pa.float64())
    if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
        return _one(pc.cast(array, pa.float64()))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return written(pc.cast(array, pa.string()))
    known = pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return _one(array) if known else None


def is_text(cells: Cells) -> bool:
    """Whether some cell is text that is no number (or a truth value)."""
    return bool(pa.types.is_boolean(cells.type)) or first_text(cells) is not None


def first_text(cells: Cells) -> int | None:
    """Index of the first cell that is text and no number; None where there is none."""
    if not pa.types.is_string(cells.type):
        return None
    try:
        _floats(cells)
    except pa.ArrowInvalid:
        return _first_odd(cells)
    return None


def numbers(cells: Cells) -> NDArray[np.float64] | CellError:
    """The cells as float64 [rows], a missing one NaN; or the first that is refused."""
    try:
        values = _floats(cells)
    except pa.ArrowInvalid:
        return _fault(cells, _first_odd(cells), "text, not a number")
    whole = _first_whole_beyond(cells, values)
    if whole is not None:
        return _fault(cells, whole, "a whole number beyond 2**53, which is not kept exactly")
    infinite = np.isinf(values)
    if infinite.any():
        return _fault(cells, int(infinite.argmax()), "not a finite number")
    huge = np.abs(values) > LARGEST
    if huge.any():
        return _fault(cells, int(huge.argmax()), "beyond 3.4e38, the largest number of a model")
    return values + 0.0  # -0.0 and 0.0 say the same


def texts(cells: Cells) -> Cells:
    """The cells as strings: as they were written, or the shortest way to write the number."""
    if pa.types.is_boolean(cells.type):
        return _one(pc.if_else(cells, "True", "False"))
    if not pa.types.is_floating(cells.type):
        return pc.cast(cells, pa.string())
    known = pc.if_else(pc.is_nan(cells), _scalar(None, cells.type), cells)
    return pc.cast(known, pa.string())


def coded(strings: Cells) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Strings as codes.

    Returns:
        int32 [rows], indexes into the categories (a missing text is -1); the categories, sorted.
    """
    categories = sorted(text for text in pc.unique(strings).to_pylist() if text is not None)
    codes = pc.index_in(strings, value_set=_array(categories))
    return _numpy(codes, missing="-1").astype(np.int32), tuple(categories)


def _one(array: Cells) -> Cells:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _fault(cells: Cells, row: int, why: str) -> CellError:
    return CellError(row=row, cell=str(cells[row].as_py()), why=why)


def _first_odd(strings: Cells) -> int:
    odd = pc.invert(pc.match_substring_regex(strings, _NUMBER))
    return int(pc.index(odd, value=True).as_py())


def _floats(cells: Cells) -> NDArray[np.float64]:
    return _numpy(pc.cast(cells, pa.float64(), safe=False), missing="nan")


def _first_whole_beyond(cells: Cells, values: NDArray[np.float64]) -> int | None:
    if pa.types.is_floating(cells.type):
        return None
    for row in np.flatnonzero(np.abs(values) >= LARGEST_WHOLE).tolist():
        cell = str(cells[row].as_py())
        if _WHOLE.fullmatch(cell) and abs(int(cell)) > LARGEST_WHOLE:
            return int(row)
    return None
