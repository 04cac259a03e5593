"""The target: the column to predict, as amounts or as classes.

Numbers are amounts unless the spec says that they are classes; truth values and texts are classes.
What is neither is refused: numbers with a text in between may be classes, or hold a fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import numpy as np
import pyarrow as pa

from fairlead.data import suggestions
from fairlead.data.cells import (
    CellError,
    FoundType,
    are_words,
    coded,
    first_text,
    known_by,
    numbers,
    share_of_numbers,
    texts,
)
from fairlead.data.frame import Cells, Frame
from fairlead.errors import InvalidData, InvalidSpec
from fairlead.formatting import shown, yaml_key
from fairlead.records import Scalar
from fairlead.spec.document import Data

if TYPE_CHECKING:
    from numpy.typing import NDArray


def target_values(
    frame: Frame, name: str, data: Data, found: FoundType
) -> tuple[NDArray[np.float64] | NDArray[np.int64], tuple[Scalar, ...] | None]:
    """The target's values: amounts, or classes and the index of each row's.

    Args:
        frame: Has the column.
        name: Of the target.
        data: The spec's section.
        found: What the column's cells are.

    Returns:
        float64 [rows] and None; or int64 [rows], indexes into the classes, and the classes, sorted.

    Raises:
        InvalidData: A cell is missing or not what it must be, or there is only one value.
        InvalidSpec: Amounts are to be predicted of what is to be text.
    """
    check_target(frame, name, data, found)
    cells = frame[name]
    if is_amount(data, found):
        values = amounts(frame, name, data, found)
        check_varies(bool(np.ptp(values) > 0), cells, name)
        return values, None
    if data.task == "auto" and found == "text" and name not in data.types:
        _check_not_mixed(frame, name)
    labels = labels_of(frame, name, data, found)
    if isinstance(labels, np.ndarray):
        check_varies(bool(np.ptp(labels) > 0), cells, name)
        distinct, indexes = np.unique(labels, return_inverse=True)
        return indexes.astype(np.int64), classes_of(distinct)
    codes, categories = coded(labels)
    check_varies(len(categories) > 1, cells, name)
    return codes.astype(np.int64), categories


def check_target(frame: Frame, name: str, data: Data, found: FoundType) -> None:
    """Refuse a target, or some rows of one, that cannot be predicted as the spec asks.

    Raises:
        InvalidData: A cell is missing, or the column holds what cannot be predicted.
        InvalidSpec: Amounts are to be predicted of what is to be text.
    """
    cells = frame[name]
    if cells.null_count:
        row = cells.is_null().index(pa.scalar(value=True)).as_py()
        _refuse_target(row, name, frame)
    if found in {"date", "other"} or name in frame.other:
        raise InvalidData(
            f"data.target: column {name!r} is {frame.other.get(name, cells.type)}, which cannot be "
            "predicted; write it as numbers or as text"
        )
    if data.task != "classification" and name not in data.types:
        _check_no_dates(frame, name)
    if data.task == "regression" and data.types.get(name) == "text":
        raise InvalidSpec(
            f"data.types: {name!r} is the target, and data.task: regression predicts numbers; "
            f"leave out one of them, or say {{{yaml_key(name)}: number}} to read numbers from text"
        )


def is_amount(data: Data, found: FoundType) -> bool:
    """Whether the target's values are amounts, and not classes."""
    return data.task == "regression" or (data.task == "auto" and found == "number")


def labels_of(frame: Frame, name: str, data: Data, found: FoundType) -> NDArray[np.float64] | Cells:
    """What tells the classes of these rows apart: numbers, or strings.

    Raises:
        InvalidData: A cell is not what it must be.
    """
    if found == "number":
        return amounts(frame, name, data, found)
    if found == "boolean":
        _check_truths(frame, name)
    return texts(frame[name], known_by(found), frame.spelling)


def classes_of(distinct: NDArray[np.float64]) -> tuple[Scalar, ...]:
    """The classes whose labels are these numbers, sorted."""
    return tuple(_plain(value) for value in distinct.tolist())


def _refuse_target(row: int, name: str, frame: Frame) -> NoReturn:
    how = "" if frame.dialect is None else " (data.missing has the texts that stand for none)"
    raise InvalidData(
        f"data.source: {frame.place(row)} has no value in the target column {name!r}{how}; leave "
        "such rows out of the file"
    )


def _check_no_dates(frame: Frame, name: str) -> None:
    """Refuse a target of texts that are dates: each of them would be a class."""
    cells = frame[name]
    if suggestions.are_dates(cells):
        raise InvalidData(
            f"data.target: {frame.place(0)}, column {name!r}: {shown(cells[0].as_py())} is a date, "
            "which cannot be predicted; write it as numbers, or say data.task: classification if "
            "the dates are classes"
        )


def _check_not_mixed(frame: Frame, name: str) -> None:
    """Refuse a target of numbers with a text in between: are they classes, or is it a fault?

    So is one whose numbers are written in another dialect, such as with a decimal comma, and one of
    truth values in words with a number in between.
    """
    cells = frame[name]
    if name in frame.text:
        return
    marks = suggestions.for_marks(frame, name)
    if not marks and not share_of_numbers(cells, frame.spelling):
        return
    row = first_text(cells, frame.spelling)
    if row < 0:
        return  # numbers with leading zeros
    _check_truths_alike(frame, name)
    fault = CellError(row=row, cell=str(cells[row].as_py()), why="text, not a number")
    key = suggestions.for_numbers(frame, name, fault)
    others = "text, not a number" if marks else "text, and other cells are numbers"
    raise InvalidData(
        f"data.target: {frame.place(row)}, column {name!r}: {shown(fault.cell)} is {others}; "
        f"{f'{key}; or ' if key else ''}correct the cell, or say data.task: "
        "classification if all of them are classes"
    )


_MOSTLY = 0.5  # of a column: its other cells are the odd ones


def _check_truths_alike(frame: Frame, name: str) -> None:
    """Refuse truth values of which some are words and some are 1 or 0, and words among others."""
    words = are_words(frame[name])
    fault = numbers(frame[name], frame.spelling, truths=True)
    mostly = bool(words.mean() >= _MOSTLY)
    if isinstance(fault, CellError):
        if mostly:
            raise InvalidData(
                f"{_said(frame, fault, name)}, and other cells are; correct the cell, or say "
                "data.task: classification if all of them are classes"
            )
        return
    row = int((words != mostly).argmax())
    kinds = ("0 or 1", "true or false")
    odd = CellError(row=row, cell=str(frame[name][row].as_py()), why=kinds[not mostly])
    raise InvalidData(
        f"{_said(frame, odd, name)}, and other cells are {kinds[mostly]}; data.types "
        f"({{{yaml_key(name)}: boolean}}) takes both for truth values; or write them alike"
    )


def amounts(frame: Frame, name: str, data: Data, found: FoundType) -> NDArray[np.float64]:
    """The target of these rows as numbers.

    Raises:
        InvalidData: A cell is missing or no number.
    """
    cells = frame[name]
    if (
        found == "text"
        and name not in data.types
        and not isinstance(numbers(cells, frame.spelling), CellError)
    ):
        raise InvalidData(
            f"data.target: column {name!r} is text ({shown(cells[0].as_py())}); data.types "
            f"({{{yaml_key(name)}: number}}) reads its numbers"
        )
    values = numbers(cells, frame.spelling, truths=found == "boolean")
    if isinstance(values, CellError):
        key = suggestions.for_numbers(frame, name, values)
        raise InvalidData(
            f"{_said(frame, values, name)}; {f'{key}; ' if key else ''}{_for_classes(name, data)}"
        )
    if np.isnan(values).any():
        _refuse_target(int(np.isnan(values).argmax()), name, frame)
    return values


def _for_classes(name: str, data: Data) -> str:
    if data.task == "classification":
        return f"data.types ({{{yaml_key(name)}: text}}) makes classes of its texts"
    return "a text target is for data.task classification"


def _check_truths(frame: Frame, name: str) -> None:
    fault = numbers(frame[name], frame.spelling, truths=True)
    if isinstance(fault, CellError):
        raise InvalidData(f"{_said(frame, fault, name)}; {_for_truths(frame, name)}")


def _for_truths(frame: Frame, name: str) -> str:
    """What to do about a target that is said to be of truth values, and holds another cell."""
    if suggestions.are_texts(frame[name], frame.spelling):
        return f"leave {name!r} out of data.types: its texts are classes then"
    return f"correct the cell, or leave {name!r} out of data.types"


def _said(frame: Frame, fault: CellError, name: str) -> str:
    at = f"{frame.place(fault.row)}, column {name!r}"
    return f"data.target: {at}: {shown(fault.cell)} is {fault.why}"


def _plain(value: float) -> int | float:
    return int(value) if value.is_integer() else value


def check_varies(varies: bool, cells: Cells, name: str) -> None:  # noqa: FBT001 - an assertion
    """Refuse a target of one value, which the cells begin with. Raises InvalidData."""
    if not varies:
        raise InvalidData(
            f"data.target: column {name!r} is {shown(cells[0].as_py())} in every row: there is "
            "nothing to learn"
        )
