"""Plain rows: a request that people write, and its answer.

Belongs here: `{"rows": [{column: value}]}` and `{"columns": [...], "rows": [[...]]}`, and the
predictions by name. Does not: tensors (protocol.py), what cells may be (intake.py).

Rows are read twice at most. The first look is msgspec's alone and takes what nearly every request
holds; where it does not do, the second one goes cell by cell, knows how each number was written,
and either refuses one with its row and column or reads what the first look does not know: a
fraction or a truth value where text is wanted, a large number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain
from math import nan
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from fairlead.data.lexicon import LARGEST_WHOLE
from fairlead.errors import Invalid
from fairlead.records import Signature
from fairlead.serving import strict
from fairlead.serving.documents import NumbersRequest, RowsRequest, RowsResponse
from fairlead.serving.intake import (
    Intake,
    Pick,
    Tensors,
    check_rows,
    intake,
    number,
    picking,
    single,
    texts,
)
from fairlead.serving.predicted import check_predicted, labels, shortest
from fairlead.serving.strict import Written
from fairlead.serving.wording import hint, listed, refused, shown

_ROWS = msgspec.json.Decoder(RowsRequest)
_NUMBERS = msgspec.json.Decoder(NumbersRequest)
_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows to predict: what the model takes, and how many they are."""

    inputs: Tensors
    rows: int


def parse_rows(body: bytes, signature: Signature, *, missing: bool, most_rows: int) -> Rows:
    """Read plain rows.

    Args:
        body: The request's, a JSON document.
        signature: Of the model: every column must be there, and no other may.
        missing: Whether the model takes missing numbers (null).
        most_rows: That may be asked at once.

    Returns:
        `numbers` float32 [rows, number columns], `text` object [rows, text columns], each only
        where the model has such columns.

    Raises:
        Invalid: In one line, with row and column.
        TooLarge: There are too many rows.
    """
    model = intake(signature)
    strict.check_size(body, model.most_values(most_rows))
    found = _quick(body, model, most_rows) or _careful(body, model, most_rows)
    inputs: Tensors = {}
    if model.numbers:
        inputs["numbers"] = single(found.numbers, model.numbers, missing=missing)
    if model.text:
        inputs["text"] = texts(found.text, len(model.text))
    return Rows(inputs=inputs, rows=found.rows)


def render_rows(  # noqa: PLR0913 - who answered is three names
    rows: Rows,
    predicted: NDArray[Any],
    *,
    model: str,
    version: int,
    revision: str,
    signature: Signature,
) -> bytes:
    """The answer to plain rows.

    Args:
        rows: That were asked.
        predicted: float64 [rows], or probabilities float32 [rows, classes].
        model: That answered.
        version: Of the model.
        revision: Of the model.
        signature: Of the model.

    Returns:
        A JSON document; a number reads, as float32, as the very one that was predicted.

    Raises:
        Failed: A prediction is not finite, or there is not one for each row.
    """
    check_predicted(predicted, rows.rows)
    answer = RowsResponse(model=model, version=version, revision=revision, predictions=[])
    if signature.classes is None:
        answer.predictions = shortest(predicted)
    else:
        answer.predictions = labels(predicted, signature.classes)
        answer.probabilities = _by_class(predicted, [str(label) for label in signature.classes])
    return _ENCODER.encode(answer)


def _by_class(predicted: NDArray[Any], names: Sequence[str]) -> list[dict[str, float]]:
    shares, width = shortest(predicted), len(names)
    starts = range(0, len(shares), width)
    return [dict(zip(names, shares[at : at + width], strict=True)) for at in starts]


# ---- the first look -------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Found:
    numbers: NDArray[np.float64]  # [rows, number columns]
    text: Sequence[Sequence[str | int | None]]  # [rows][text columns]
    rows: int


def _quick(body: bytes, model: Intake, most_rows: int) -> _Found | None:
    """The rows; None where they need a second look."""
    try:
        asked = (_ROWS if model.text else _NUMBERS).decode(body)
        strict.check_keys(body, _keys(asked))
        check_rows(len(asked.rows), most_rows)
        return _matched(asked, model, body)
    except (*strict.MALFORMED, LookupError, TypeError, ValueError, OverflowError):
        return None  # the second look says what is wrong, if anything is


def _keys(asked: RowsRequest | NumbersRequest) -> int:
    return 2 if asked.columns is not UNSET else 1 + sum(map(len, asked.rows))


def _matched(asked: RowsRequest | NumbersRequest, model: Intake, body: bytes) -> _Found | None:
    rows, columns = asked.rows, asked.columns
    if columns is UNSET:
        pick_numbers, pick_text = model.pick_numbers, model.pick_text
    else:
        _check_columns(columns, model)
        pick_numbers, pick_text = _picks(columns, model)
    if set(map(len, rows)) != {len(model.known)}:
        return None
    numbers = list(map(pick_numbers, rows))
    text = list(map(pick_text, rows)) if model.text else ()
    if model.text and not _typed(numbers, text, body):
        return None
    values = np.array(numbers, dtype=np.float64)  # None becomes NaN
    if model.numbers and np.fmax.reduce(np.abs(values), axis=None) >= LARGEST_WHOLE:
        return None
    return _Found(numbers=values, text=text, rows=len(rows))


def _picks(columns: Sequence[str], model: Intake) -> tuple[Pick, Pick]:
    at = {name: index for index, name in enumerate(columns)}
    return picking([at[name] for name in model.numbers]), picking([at[name] for name in model.text])


def _typed(numbers: Sequence[Sequence[Any]], text: Sequence[Sequence[Any]], body: bytes) -> bool:
    """Whether every cell says what its column wants: numpy would read a number in a text.

    A whole number where text is wanted is the text that it was written as, which is lost where
    it may have been -0.
    """
    kinds = set(map(type, chain.from_iterable(text)))
    return set(map(type, chain.from_iterable(numbers))) <= _NUMBER and (
        kinds <= _TEXT or (kinds <= _TEXT | {int} and b"-0" not in body)
    )


_NUMBER = frozenset((float, int, type(None)))
_TEXT = frozenset((str, type(None)))


def _check_columns(columns: Sequence[str], model: Intake) -> None:
    twice = [name for name, times in Counter(columns).items() if times > 1]
    if twice:
        raise Invalid(f"`columns` names {shown(twice[0])} twice")
    _check_names(columns, model, "`columns`: ")


def _check_names(names: Collection[str], model: Intake, where: str) -> None:
    extra = next((name for name in names if name not in model.known), None)
    if extra is not None:
        raise Invalid(
            f"{where}the model takes no column {shown(extra)}{hint(extra, model.columns)}"
        )
    if len(names) < len(model.known):
        lacking = [name for name in model.columns if name not in names]
        raise Invalid(f"{where}the model needs the columns {listed(lacking)}, which are not there")


# ---- the second look ------------------------------------------------------------------------


def _careful(body: bytes, model: Intake, most_rows: int) -> _Found:
    rows, columns = _document(strict.written(body))
    check_rows(len(rows), most_rows)
    if columns is not None:
        _check_columns(columns, model)
    named = [_named(row, columns, model, at) for at, row in enumerate(rows)]
    width = len(model.numbers)
    numbers = [[_number(row[n], n, at) for n in model.numbers] for at, row in enumerate(named)]
    return _Found(
        numbers=np.array(numbers, dtype=np.float64).reshape(len(rows), width),
        text=[[_text(row[n], n, at) for n in model.text] for at, row in enumerate(named)],
        rows=len(rows),
    )


def _document(body: Any) -> tuple[list[Any], list[str] | None]:
    """Its rows and columns."""
    if not isinstance(body, dict) or not isinstance(body.get("rows"), list):
        raise Invalid('the body is not {"rows": [{column: value, ...}, ...]}')
    odd = next((key for key in body if key not in _FIELDS), None)
    if odd is not None:
        raise Invalid(f"the body has the key {shown(odd)}, which says nothing{hint(odd, _FIELDS)}")
    columns = body.get("columns")
    if columns is not None and not _are_names(columns):
        raise Invalid("`columns` is not a list of names")
    return body["rows"], columns


_FIELDS = ("rows", "columns")


def _are_names(columns: object) -> bool:
    return isinstance(columns, list) and all(type(name) is str for name in columns)


def _named(row: Any, columns: Sequence[str] | None, model: Intake, at: int) -> dict[str, Any]:
    if columns is None:
        if not isinstance(row, dict):
            raise Invalid(f"row {at + 1} is no object of column names and values")
        _check_names(row, model, f"row {at + 1}: ")
        return row
    if not isinstance(row, list):
        raise Invalid(f"row {at + 1} is no array, as `columns` asks for")
    if len(row) != len(columns):
        raise Invalid(f"row {at + 1} has {len(row)} values where `columns` names {len(columns)}")
    return dict(zip(columns, row, strict=True))


def _number(cell: Any, column: str, row: int) -> float:
    if isinstance(cell, Written):
        try:
            return number(cell)
        except ValueError as error:
            raise refused("", row, column, str(error)) from None
    if cell is None:
        return nan
    raise refused("", row, column, _no_number(cell))


def _no_number(cell: Any) -> str:
    match cell:
        case bool():
            return f"{str(cell).lower()} is a truth value, not a number; write {int(cell)}"
        case str():
            return f"{shown(cell)} is text, not a number; a number is written without quotes"
        case _:
            return "an array or an object is no value"


def _text(cell: Any, column: str, row: int) -> str | None:
    """A number is the text that it was written as; a truth value is True or False."""
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return str(cell)
    raise refused("", row, column, "an array or an object is no value")
