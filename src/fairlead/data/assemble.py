"""From a frame to a table: which columns are dropped, the target, numbers or text.

The rules of the spec's section `data` that are about columns and cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import numpy as np
import pyarrow as pa

from fairlead.data.cells import CellError, coded, is_text, numbers, texts
from fairlead.data.fingerprint import fingerprint
from fairlead.data.frame import Cells, Frame
from fairlead.data.table import Features, Table
from fairlead.errors import InvalidData, InvalidSpec
from fairlead.formatting import did_you_mean
from fairlead.records import Column, Scalar
from fairlead.spec.document import Data

if TYPE_CHECKING:
    from numpy.typing import NDArray

Refuse: TypeAlias = Callable[[CellError, str], NoReturn]

_FEWEST_ROWS = 3  # two to fit on, one to hold out
_LISTED = 20  # names that a message holds


def assemble(frame: Frame, data: Data) -> Table:
    """Make the table that the spec asks for; its missing numbers are NaN.

    Raises:
        InvalidSpec: `data` names columns that are not there, or leaves none.
        InvalidData: A cell is not what its column must be, the target has missing values or only
            one value, or there are too few rows.
    """
    target = _target_name(frame, data)
    columns = _columns(frame, data, target)
    _check_rows(frame)
    features = features_of(frame, columns, partial(_refuse, frame, columns, data))
    values, classes = _target(frame[target], target, data.task)
    return Table(
        columns=columns,
        features=features,
        target_name=target,
        target=values,
        classes=classes,
        fingerprint=fingerprint(columns, features, target, values, classes),
    )


def features_of(frame: Frame, columns: Sequence[Column], refuse: Refuse) -> Features:
    """The rows of these columns.

    Args:
        frame: Has all of them.
        columns: In the order of the result.
        refuse: Raises, given a cell that is no number and the name of its column.
    """
    plain = [_numbers(frame, c.name, refuse) for c in columns if c.kind == "number"]
    encoded = [coded(texts(frame[c.name])) for c in columns if c.kind == "text"]
    return Features(
        numbers=_beside(plain, len(frame), np.float64),
        text=_beside([codes for codes, _ in encoded], len(frame), np.int32),
        categories=tuple(categories for _, categories in encoded),
    )


def check_missing(table: Table, data: Data) -> None:
    """Refuse missing numbers that nothing stands for, and columns that have no value at all.

    Raises:
        InvalidData: Names the first such row and column.
    """
    missing = np.isnan(table.features.numbers)
    names = table.signature.numbers
    for at, name in enumerate(names):
        if missing[:, at].all():
            raise InvalidData(
                f"data.source: column {name!r} has no value in any row; name it in data.drop"
            )
    if data.impute is None and missing.any():
        raise InvalidData(f"data.source: {_missing(missing, names)}")


def _missing(missing: NDArray[np.bool_], names: Sequence[str]) -> str:
    """What is missing, and what to do about it."""
    row, at = np.argwhere(missing)[0].tolist()
    others = int(missing.sum()) - 1
    also = [repr(names[place]) for place in np.flatnonzero(missing.any(axis=0)).tolist()]
    where = f", in {_listed(also)}" if len(also) > 1 else ""
    cells = "1 more cell is" if others == 1 else f"{others} more cells are"
    more = f" ({cells} missing{where})" if others else ""
    return (
        f"row {row + 1}, column {names[at]!r} has no value{more}; say what stands for it in "
        "data.impute (mean, median, most_frequent or a number), or name the column in data.drop"
    )


def _target_name(frame: Frame, data: Data) -> str:
    if data.target is None:
        raise InvalidSpec(f"data.target: name the column to predict: {_listed(frame.names)}")
    if data.target not in frame.names:
        hint = did_you_mean(data.target, frame.names) or f": {_listed(frame.names)}"
        raise InvalidSpec(f"data.target: the data has no column {data.target!r}{hint}")
    return data.target


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")


def _columns(frame: Frame, data: Data, target: str) -> tuple[Column, ...]:
    for key, names in (("drop", data.drop), ("encode", tuple(data.encode))):
        for name in names:
            _check_feature(key, name, frame, target)
    kept = [name for name in frame.names if name != target and name not in data.drop]
    if not kept:
        raise InvalidSpec(f"data.drop: no column is left to predict {target!r} from")
    return tuple(Column(name=n, kind="text" if n in data.encode else "number") for n in kept)


def _check_feature(key: str, name: str, frame: Frame, target: str) -> None:
    if name not in frame.names:
        hint = did_you_mean(name, frame.names) or f": {_listed(frame.names)}"
        raise InvalidSpec(f"data.{key}: the data has no column {name!r}{hint}")
    if name == target:
        raise InvalidSpec(f"data.{key}: {name!r} is the target")


def _check_rows(frame: Frame) -> None:
    if len(frame) < _FEWEST_ROWS:
        raise InvalidData(
            f"data.source: the data has {len(frame)} rows; at least {_FEWEST_ROWS} are needed"
        )


def _beside(columns: Sequence[NDArray[Any]], rows: int, kind: type[np.generic]) -> NDArray[Any]:
    matrix = np.empty((rows, len(columns)), kind)
    for index, column in enumerate(columns):
        matrix[:, index] = column
    return matrix


def _numbers(frame: Frame, name: str, refuse: Refuse) -> NDArray[np.float64]:
    values = numbers(frame[name])
    if isinstance(values, CellError):
        refuse(values, name)
    return values


def _refuse(
    frame: Frame, columns: Sequence[Column], data: Data, fault: CellError, name: str
) -> NoReturn:
    """Refuse the first cell that is no number, and with it all that would be refused after it."""
    plain = [column.name for column in columns if column.kind == "number"]
    others = [
        other
        for other in plain[plain.index(name) + 1 :]
        if isinstance(found := numbers(frame[other]), CellError) and found.why == fault.why
    ]
    also = f" (so has {_listed([repr(other) for other in others])})" if others else ""
    what, it = ("the columns", "them") if others else ("the column", "it")
    how = _listed([f"{one}: onehot" for one in (name, *others)])
    raise InvalidData(
        f"data.source: row {fault.row + 1}, column {name!r}: {fault.cell!r} is {fault.why}{also}; "
        f"name {what} in data.encode ({{{how}}}) to use {it} as text, or in data.drop"
        f"{_missing_too(frame, plain, data)}"
    )


def _missing_too(frame: Frame, names: Sequence[str], data: Data) -> str:
    """What is missing in those of the columns that hold numbers; empty where nothing is."""
    found = {name: numbers(frame[name]) for name in names}
    known = {
        name: np.isnan(values)
        for name, values in found.items()
        if not isinstance(values, CellError)
    }
    missing = _beside(list(known.values()), len(frame), np.bool_)
    if data.impute is not None or not missing.any():
        return ""
    return f"; and {_missing(missing, list(known))}"


def _target(
    cells: Cells, name: str, task: str
) -> tuple[NDArray[np.float64] | NDArray[np.int64], tuple[Scalar, ...] | None]:
    if cells.null_count:
        row = cells.is_null().index(pa.scalar(value=True)).as_py()
        _refuse_target(row, name)
    if task == "regression" or (task == "auto" and not is_text(cells)):
        return _amounts(cells, name), None
    return _classes(cells, name)


def _refuse_target(row: int, name: str) -> NoReturn:
    raise InvalidData(
        f"data.source: row {row + 1} has no value in the target column {name!r}; leave such rows "
        "out of the file"
    )


def _amounts(cells: Cells, name: str) -> NDArray[np.float64]:
    values = numbers(cells)
    if isinstance(values, CellError):
        raise InvalidData(
            f"data.target: row {values.row + 1}, column {name!r}: {values.cell!r} is {values.why}; "
            "a text target is for data.task classification"
        )
    if np.isnan(values).any():
        _refuse_target(int(np.isnan(values).argmax()), name)
    _check_varies(bool(np.ptp(values) > 0), cells, name)
    return values


def _classes(cells: Cells, name: str) -> tuple[NDArray[np.int64], tuple[Scalar, ...]]:
    if is_text(cells):
        codes, categories = coded(texts(cells))
        _check_varies(len(categories) > 1, cells, name)
        return codes.astype(np.int64), categories
    distinct, indexes = np.unique(_amounts(cells, name), return_inverse=True)
    return indexes.astype(np.int64), tuple(_plain(value) for value in distinct.tolist())


def _plain(value: float) -> int | float:
    return int(value) if value.is_integer() else value


def _check_varies(varies: bool, cells: Cells, name: str) -> None:  # noqa: FBT001 - an assertion
    if not varies:
        raise InvalidData(
            f"data.target: column {name!r} is {cells[0].as_py()!r} in every row: there is nothing "
            "to learn"
        )
