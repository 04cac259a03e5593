"""Plain rows: `{"rows": [{column: value}]}` or `{"columns": [...], "rows": [[...]]}`.

Rows are read twice at most. The fast reader uses msgspec and numpy and takes what nearly every
request holds. Where it fails, the slow one (written_rows.py) goes cell by cell, and either takes
the rows or says what is wrong with them. It reads small documents only: a large one that the fast
reader does not take is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, TypeAlias

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from fairlead.data.lexicon import LARGEST_WHOLE
from fairlead.records import Signature
from fairlead.serving.protocol import strict, written_rows
from fairlead.serving.protocol.documents import NumbersRequest, RowsRequest, RowsResponse
from fairlead.serving.protocol.intake import (
    Intake,
    Pick,
    Tensors,
    check_rows,
    intake,
    near,
    picking,
    single,
    texts,
)
from fairlead.serving.protocol.outputs import check_predicted, labels, shortest
from fairlead.serving.protocol.written_rows import (
    Found,
    check_columns,
    check_named,
    check_numbers,
)

Cells: TypeAlias = Sequence[Sequence[Any]]

_ROWS = msgspec.json.Decoder(RowsRequest)
_NUMBERS = msgspec.json.Decoder(NumbersRequest)
_ENCODER = msgspec.json.Encoder()


class Rows(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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
        TooLarge: There are too many rows, or numbers that take long to read.
    """
    model, body = intake(signature), strict.unmarked(body)
    strict.check_size(body, model.most_values(most_rows), len(model.columns))
    strict.check_exponents(body)
    found = _quick(body, model, most_rows) or written_rows.read(body, model, most_rows)
    inputs: Tensors = {}
    if model.numbers:
        inputs["numbers"] = single(found.numbers, model.numbers, missing=missing)
    if model.text:
        cells = list(chain.from_iterable(found.text))
        inputs["text"] = texts(cells, len(model.text), model.absent)
    if model.typed:
        typed = [
            column.read(cells, model.absent, missing=missing)
            for column, cells in zip(model.typed, found.typed, strict=True)
        ]
        inputs = model.joined(inputs, typed, found.rows)
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


def _quick(body: bytes, model: Intake, most_rows: int) -> Found | None:
    """The rows; None where they need a second look."""
    try:
        asked = (_ROWS if model.mixed else _NUMBERS).decode(body)
    except strict.MALFORMED as error:
        if len(body) <= strict.CLOSELY:
            return None  # the second look says what is wrong, if anything is
        raise strict.explained(body, error) from None
    check_rows(len(asked.rows), most_rows)
    picked = _picked(asked, model)
    if picked is None:
        return None
    numbers, text = picked
    strict.check_keys(body, _keys(asked))
    if model.mixed and not _typed(numbers, text, body):
        check_numbers(numbers, model)
        return None
    values = _values(numbers)
    if values is None or (model.numbers and not _exact(values)):
        return None
    if not model.typed:
        return Found(numbers=values, text=text, rows=len(asked.rows))
    typed = _picked_typed(asked, model)
    return Found(numbers=values, text=text, rows=len(asked.rows), typed=typed) if typed else None


def _values(numbers: Cells) -> NDArray[np.float64] | None:
    try:
        return np.array(numbers, dtype=np.float64)  # None becomes NaN
    except OverflowError:  # of a whole number
        return None


def _keys(asked: RowsRequest | NumbersRequest) -> int:
    return 2 if asked.columns is not UNSET else 1 + sum(map(len, asked.rows))


def _picked(asked: RowsRequest | NumbersRequest, model: Intake) -> tuple[Cells, Cells] | None:
    """Values of the number columns, and of the text columns.

    Raises:
        Invalid: The rows are not of the model's columns.
    """
    rows, columns = asked.rows, asked.columns
    if columns is UNSET:
        pick_numbers, pick_text = model.pick_numbers, model.pick_text
    else:
        check_columns(columns, model)
        pick_numbers, pick_text = _picks(columns, model)
    try:
        if set(map(len, rows)) == {len(model.known)}:
            return list(map(pick_numbers, rows)), list(map(pick_text, rows)) if model.text else ()
    except (LookupError, TypeError):
        pass  # an array where an object is wanted, an object where an array is, or a wrong name
    check_named(rows, None if columns is UNSET else columns, model)
    return None


def _picked_typed(asked: RowsRequest | NumbersRequest, model: Intake) -> Cells | None:
    """Values of each typed column.

    Raises:
        Invalid: The rows are not of the model's columns.
    """
    rows, columns = asked.rows, None if asked.columns is UNSET else asked.columns
    names = [column.name for column in model.typed]
    keys = names if columns is None else [columns.index(name) for name in names]
    try:
        return [list(map(itemgetter(key), rows)) for key in keys]
    except (LookupError, TypeError):
        check_named(rows, columns, model)
        return None


def _exact(values: NDArray[np.float64]) -> bool:
    """Whether float64 holds them all, whatever they were; a missing one, too."""
    return near(values, LARGEST_WHOLE) or not bool(
        np.fmax.reduce(np.abs(values), axis=None) >= LARGEST_WHOLE
    )


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
        kinds <= _TEXT or (kinds <= _TEXT | {int} and not _MINUS_ZERO(body))
    )


_MINUS_ZERO = re.compile(rb"-0[\s,\]}]").search
_NUMBER = frozenset((float, int, type(None)))
_TEXT = frozenset((str, bool, type(None)))
