"""From a frame to a table: which columns are left out, and what each of the others is.

The rules of the spec's section `data` that are about columns and cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import numpy as np
import pyarrow.compute as pc

from fairlead.data import suggestions
from fairlead.data.cells import (
    CellError,
    FoundType,
    Look,
    coded,
    date_parts,
    first_of,
    first_zero,
    known_by,
    look,
    numbers,
    texts,
)
from fairlead.data.dialect import Dialect
from fairlead.data.features import Features
from fairlead.data.fingerprint import fingerprint
from fairlead.data.frame import Cells, Frame
from fairlead.data.table import Table
from fairlead.data.target import target_values
from fairlead.errors import InvalidData, InvalidSpec
from fairlead.formatting import did_you_mean, listed, shown, yaml_key
from fairlead.records import Column, Scalar
from fairlead.spec.document import Data

if TYPE_CHECKING:
    from numpy.typing import NDArray

Refuse: TypeAlias = Callable[[CellError, str], NoReturn]

_FEWEST_ROWS = 3  # two to fit on, one to hold out


def assemble(frame: Frame, data: Data) -> Table:
    """Make the table that the spec asks for; its missing numbers are NaN.

    Raises:
        InvalidSpec: `data` names columns that are not there, or leaves none.
        InvalidData: A cell is not what its column must be, the target has missing values or only
            one value, or there are too few rows.
    """
    plan = layout_of(frame, data, rows=len(frame))
    columns, target = plan.columns, plan.target
    features = features_of(frame, columns, refusing(frame, columns, data), plan.known)
    _check_encoded(columns, features, data.encoded)
    values, classes = target_values(frame, target, data, plan.found)
    return Table(
        columns=columns,
        features=features,
        target_name=target,
        target=values,
        classes=classes,
        fingerprint=fingerprint(columns, features, target, values, classes),
        missing=frame.missing,
        notes=(
            *plan.notes,
            *_line_notes(frame, _found_texts(columns, features, target, classes)),
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which columns a table has, and what they are.

    Args:
        columns: The feature columns.
        target: Name of the target.
        found: What the target's cells are.
        known: Numbers of columns that were made to find out what they are.
        notes: On columns that are left out.
    """

    columns: tuple[Column, ...]
    target: str
    found: FoundType
    known: Mapping[str, NDArray[np.float64]]
    notes: tuple[str, ...]


def layout_of(frame: Frame, data: Data, *, rows: int) -> Layout:
    """The layout of the table that the spec asks for.

    Args:
        frame: All rows, or the first of a file that says what its cells are.
        data: The spec's section.
        rows: How many rows the data has.

    Raises:
        InvalidSpec: `data` names columns that are not there, or leaves none.
        InvalidData: There are too few rows, or a column is not what it must be.
    """
    target = _target_name(frame, data)
    left_out = _left_out(frame, data, target)
    names = _feature_names(frame, data, target, left_out)
    _check_rows(rows)
    looks = {name: _look_at(frame, name, data) for name in names}
    return Layout(
        columns=tuple(_column(frame, name, data, found.type) for name, found in looks.items()),
        target=target,
        found=_look_at(frame, target, data).type,
        known={name: look.values for name, look in looks.items() if look.values is not None},
        notes=tuple(_index_notes(frame, data, left_out)),
    )


def refusing(frame: Frame, columns: Sequence[Column], data: Data) -> Refuse:
    """What refuses a cell of this frame."""
    return partial(_refuse, frame, columns, data)


def features_of(
    frame: Frame,
    columns: Sequence[Column],
    refuse: Refuse,
    known: Mapping[str, NDArray[np.float64]] | None = None,
) -> Features:
    """The rows of these columns.

    Args:
        frame: Has all of them.
        columns: In the order of the result.
        refuse: Raises, given a cell that is no number (or no date) and the name of its column.
        known: Numbers of columns that were made before.
    """
    dialect = frame.spelling
    for column in columns:
        if column.name in frame.other:
            refuse(first_of(frame[column.name], frame.other[column.name]), column.name)
    plain = [
        part
        for column in columns
        if column.kind != "text"
        for part in _numbers(frame[column.name], column, dialect, refuse, known or {})
    ]
    encoded = [
        coded(texts(frame[column.name], column.type, dialect))
        for column in columns
        if column.kind == "text"
    ]
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
    names = table.signature.sources
    check_present(names, np.logical_not(np.logical_and.reduce(missing, axis=0)))
    if data.impute is None:
        refuse_missing(missing, names)


def check_present(names: Sequence[str], present: NDArray[np.bool_]) -> None:
    """Refuse a column that has no value in any row.

    Args:
        names: What each column of numbers is made of.
        present: Whether it has a value anywhere.

    Raises:
        InvalidData: Names it.
    """
    for name, is_there in zip(names, present, strict=True):
        if not is_there:
            raise InvalidData(
                f"data.source: column {name!r} has no value in any row; name it in data.drop"
            )


def refuse_missing(
    missing: NDArray[np.bool_], names: Sequence[str], frame: Frame | None = None
) -> None:
    """Refuse missing numbers.

    Args:
        missing: bool [rows, columns of numbers].
        names: What each of these columns is made of.
        frame: Where the rows are from, if they are not all there are.

    Raises:
        InvalidData: Names the first such row and column.
    """
    if missing.any():
        of_dates = np.sort(np.unique(names, return_index=True)[1])  # one part is enough of each
        shown = [names[place] for place in of_dates.tolist()]
        raise InvalidData(f"data.source: {_missing(missing[:, of_dates], shown, frame)}")


def _missing(missing: NDArray[np.bool_], names: Sequence[str], frame: Frame | None = None) -> str:
    """What is missing, and what to do about it."""
    row, at = np.argwhere(missing)[0].tolist()
    others = int(missing.sum()) - 1
    also = [repr(names[place]) for place in np.flatnonzero(missing.any(axis=0)).tolist()]
    where = f", in {listed(also)}" if len(also) > 1 else ""
    cells = "1 more cell is" if others == 1 else f"{others} more cells are"
    more = f" ({cells} missing{where})" if others else ""
    if frame is not None and others:
        more = f" ({cells} missing in the {len(missing)} rows from {frame.place(0)}{where})"
    place = f"row {row + 1}" if frame is None else frame.place(row)
    return (
        f"{place}, column {names[at]!r} has no value{more}; say what stands for it in "
        "data.impute (mean, median, most_frequent or a number), or name the column in data.drop"
    )


# ---- columns --------------------------------------------------------------------------------


def _target_name(frame: Frame, data: Data) -> str:
    if data.target is None:
        raise InvalidSpec(f"data.target: name the column to predict: {listed(frame.names)}")
    if data.target not in frame.names:
        hint = did_you_mean(data.target, frame.names) or f": {listed(frame.names)}"
        if frame.dialect is not None and len(frame.names) == 1:
            hint = f": it has one, {frame.names[0]!r}; data.separator says what parts the cells"
        raise InvalidSpec(f"data.target: the data has no column {data.target!r}{hint}")
    return data.target


def _left_out(frame: Frame, data: Data, target: str) -> tuple[str, ...]:
    """The columns of an index, unless the spec names them."""
    named = {target, *data.drop, *data.encode, *data.types}
    return tuple(name for name in frame.names if name in frame.index and name not in named)


def _index_notes(frame: Frame, data: Data, left_out: Sequence[str]) -> Iterator[str]:
    if left_out:
        what, it = ("column", "it") if len(left_out) == 1 else ("columns", "them")
        names = listed([repr(name) for name in left_out])
        found = {name: _look_at(frame, name, data).type for name in left_out}
        are_numbers = set(found.values()) == {"number"}
        key, said = ("types", {"number": "number"}) if are_numbers else ("encode", {"date": "date"})
        how = listed([f"{yaml_key(name)}: {said.get(found[name], 'onehot')}" for name in left_out])
        yield (
            f"{what} {names} left out: the index of a pandas DataFrame says nothing of a row; "
            f"to use {it} all the same, name {it} in data.{key} ({{{how}}})"
        )


def _encoded(
    columns: Sequence[Column], features: Features
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The name of each text column, and its texts."""
    named = (column.name for column in columns if column.kind == "text")
    return zip(named, features.categories, strict=True)


def _found_texts(
    columns: Sequence[Column], features: Features, target: str, classes: Sequence[Scalar] | None
) -> Iterator[tuple[str, str]]:
    """The name of a column and each text that it holds."""
    for name, found in _encoded(columns, features):
        yield from ((name, text) for text in found)
    yield from ((target, text) for text in classes or () if isinstance(text, str))


def _line_notes(frame: Frame, found: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The first text of each column of a CSV file that holds the end of a line.

    Rows are lost in it where its quote was to be closed, and the next quote closed it.
    """
    if frame.dialect is None:
        return
    broken: dict[str, str] = {}
    for name, text in found:
        if "\n" in text or "\r" in text:
            broken.setdefault(name, text)
    for name, text in broken.items():
        row = int(pc.index(frame[name], text).as_py())
        where = f"row {row + 1}, column" if row >= 0 else "column"
        yield (
            f"{where} {name!r}: {shown(text)} holds the end of a line; if its quote was to be "
            "closed before, rows are lost in it"
        )


def _feature_names(
    frame: Frame, data: Data, target: str, left_out: Sequence[str]
) -> tuple[str, ...]:
    for key, names in (("drop", data.drop), ("encode", data.encode), ("types", data.types)):
        for name in names:
            _check_named(key, name, frame, target)
    gone = {target, *data.drop, *left_out}
    kept = tuple(name for name in frame.names if name not in gone)
    if not kept:
        raise InvalidSpec(f"data.drop: no column is left to predict {target!r} from")
    return kept


def _check_named(key: str, name: str, frame: Frame, target: str) -> None:
    if name not in frame.names:
        hint = did_you_mean(name, frame.names) or f": {listed(frame.names)}"
        raise InvalidSpec(f"data.{key}: the data has no column {name!r}{hint}")
    if name == target and key != "types":
        raise InvalidSpec(f"data.{key}: {name!r} is the target")


def _check_rows(rows: int) -> None:
    if rows < _FEWEST_ROWS:
        raise InvalidData(
            f"data.source: the data has {rows} rows; at least {_FEWEST_ROWS} are needed"
        )


def _look_at(frame: Frame, name: str, data: Data) -> Look:
    """What a column's cells are: what the spec says, or else the file, or else their look."""
    if name in data.types:
        return Look(type=data.types[name])
    if name in frame.other:
        return Look(type="other")
    return Look(type="text") if name in frame.text else look(frame[name], frame.spelling)


def _column(frame: Frame, name: str, data: Data, found: FoundType) -> Column:
    how = data.encode.get(name)
    if how == "date":
        return Column(name=name, kind="date")
    if how is None:
        if found == "text":
            _refuse_text(frame, name, data)
        return Column(name=name, kind="number", type="boolean" if found == "boolean" else None)
    if found == "date":
        raise InvalidData(
            f"data.encode: column {name!r} is {frame[name].type}, not text; encode it as a date "
            f"({{{yaml_key(name)}: date}})"
        )
    return Column(name=name, kind="text", type=known_by(found))


def _refuse_text(frame: Frame, name: str, data: Data) -> None:
    """Refuse a column of texts that would pass for numbers; others are refused at the cell."""
    cells, key = frame[name], yaml_key(name)
    if name in data.types:
        raise InvalidSpec(
            f"data.types: column {name!r} is to be text, and a model takes numbers: name it in "
            f"data.encode ({{{yaml_key(name)}: onehot}}), too"
        )
    if isinstance(numbers(cells, frame.spelling), CellError):
        return
    zero = first_zero(cells)
    row, why = (0, "text by the file's word") if zero is None else (zero, "text: it begins with 0")
    if len(cells):
        raise InvalidData(
            f"data.source: {frame.place(row)}, column {name!r}: {shown(cells[row].as_py())} is "
            f"{why}; name the column in data.encode ({{{key}: onehot}}) to use it as text, in "
            f"data.types ({{{key}: number}}) to use its numbers, or in data.drop"
        )


def _check_encoded(columns: Sequence[Column], features: Features, most: int) -> None:
    for name, found in _encoded(columns, features):
        check_texts(name, len(found), most)


def check_texts(name: str, many: int, most: int) -> None:
    """Refuse a column of too many different texts. Raises InvalidData."""
    if many > most:
        raise InvalidData(
            f"data.encode: column {name!r} holds {many} different texts, and onehot "
            f"makes a column of each; at most {most} may be (data.encoded: {many} lets "
            "them); a column that tells the rows apart belongs in data.drop"
        )


def _beside(columns: Sequence[NDArray[Any]], rows: int, kind: type[np.generic]) -> NDArray[Any]:
    matrix = np.empty((rows, len(columns)), kind)
    for index, column in enumerate(columns):
        matrix[:, index] = column
    return matrix


def _numbers(
    cells: Cells,
    column: Column,
    dialect: Dialect,
    refuse: Refuse,
    known: Mapping[str, NDArray[np.float64]],
) -> Sequence[NDArray[np.float64]]:
    if column.kind == "date":
        parts = date_parts(cells)
        if isinstance(parts, CellError):
            refuse(parts, column.name)
        return list(parts.T)
    truths = column.type == "boolean"
    values = numbers(cells, dialect, truths=truths, values=known.get(column.name))
    if isinstance(values, CellError):
        refuse(values, column.name)
    return [values]


def _refuse(
    frame: Frame, columns: Sequence[Column], data: Data, fault: CellError, name: str
) -> NoReturn:
    """Refuse the first cell that is no number, and with it all that would be refused after it."""
    at = f"{frame.place(fault.row)}, column {name!r}"
    where = f"data.source: {at}: {shown(fault.cell)} is {fault.why}"
    if data.encode.get(name) == "date":
        raise InvalidData(f"{where}; {suggestions.for_odd_date(fault.cell)}")
    if data.types.get(name) == "boolean":
        raise InvalidData(f"{where}; {suggestions.for_truths(frame, name, most=data.encoded)}")
    plain = [column.name for column in columns if column.kind == "number"]
    if name in frame.other:
        raise InvalidData(f"{where}; a model has no use for it: name the column in data.drop")
    if key := suggestions.for_numbers(frame, name, fault):
        raise InvalidData(f"{where}; {key}; or correct the cell, or name the column in data.drop")
    alike = [other for other in plain[plain.index(name) + 1 :] if _is_alike(frame, other, fault)]
    also = f" (so has {listed([repr(other) for other in alike])})" if alike else ""
    way_on = suggestions.for_text(frame, (name, *alike), most=data.encoded)
    raise InvalidData(f"{where}{also}; {way_on}{_missing_too(frame, plain, data)}")


def _is_alike(frame: Frame, name: str, fault: CellError) -> bool:
    """Whether a column would be refused for the same reason, and with the same way on."""
    found = numbers(frame[name], frame.spelling)
    return (
        isinstance(found, CellError)
        and found.why == fault.why
        and not suggestions.for_numbers(frame, name, found)
    )


def _missing_too(frame: Frame, names: Sequence[str], data: Data) -> str:
    """What is missing in those of the columns that hold numbers; empty where nothing is."""
    found = {name: numbers(frame[name], frame.spelling) for name in names}
    known = {
        name: np.isnan(values)
        for name, values in found.items()
        if not isinstance(values, CellError)
    }
    missing = _beside(list(known.values()), len(frame), np.bool_)
    if data.impute is not None or not missing.any():
        return ""
    return f"; and {_missing(missing, list(known), frame if frame.part else None)}"
