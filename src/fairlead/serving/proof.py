"""The proof that a model predicts what it predicted when it was made: golden rows, bit by bit."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from fairlead.errors import Corrupt, Failed
from fairlead.inference import Exported
from fairlead.probabilities import within_bounds
from fairlead.records import ColumnKind, Scalar, Signature
from fairlead.serving.protocol.rows import Rows, parse_rows

TOGETHER = 64
_TIMES = 16
_LONG = 0.25  # seconds

Inputs: TypeAlias = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Golden:
    """Rows as people write them, and what the exported model predicted for them when it was made.

    Args:
        rows: Column name to value; None is missing.
        predictions: Numbers; for classes, a number for each class.
    """

    rows: Sequence[dict[str, Scalar]]
    predictions: Sequence[float | Sequence[float]]


def golden(content: bytes) -> Golden:
    """What the file golden.json of a candidate says.

    Probabilities of versions that were made before these were corrected are corrected here.

    Raises:
        Corrupt: It says something else.
    """
    try:
        found = msgspec.json.decode(content, type=Golden)
    except msgspec.DecodeError as error:
        raise Corrupt(f"reading golden rows: {error}") from error
    rows, predictions = len(found.rows), len(found.predictions)
    if rows != predictions:
        raise Corrupt(f"reading golden rows: {rows} rows have {predictions} predictions")
    return replace(found, predictions=[_corrected(each) for each in found.predictions])


def _corrected(prediction: float | Sequence[float]) -> float | Sequence[float]:
    if isinstance(prediction, float):
        return prediction
    corrected: Sequence[float] = within_bounds(np.array(prediction, float)).tolist()
    return corrected


def asked(golden: Golden, signature: Signature, *, missing: bool) -> Rows:
    """The golden rows as a client's rows are read; a row of zeros where there are none.

    Args:
        golden: The rows.
        signature: Of the model.
        missing: Whether it takes missing numbers.

    Raises:
        Invalid: They are no rows that this model takes.
    """
    rows = golden.rows or [_zeros(signature)]
    body = msgspec.json.encode({"rows": rows})
    return parse_rows(body, signature, missing=missing, most_rows=len(rows))


def prove(exported: Exported, rows: Rows, golden: Golden) -> None:
    """See that each row gets its prediction, to the last bit, alone and among 64.

    Args:
        exported: The model.
        rows: The golden rows, read by `asked`.
        golden: What is expected.

    Raises:
        Failed: A prediction is another one, or is no finite number.
    """
    several = np.arange(TOGETHER) % rows.rows
    alone = np.concatenate([exported.ask(_take(rows, [at]), 1) for at in range(rows.rows)])
    together = exported.ask(_take(rows, several), TOGETHER)
    _refuse_not_finite(alone)
    expected = np.array(golden.predictions, alone.dtype) if golden.rows else alone
    _refuse_others(alone, expected, "asked alone")
    _refuse_others(together, expected[several], f"asked among {TOGETHER}")


def alike(one: Exported, other: Exported, rows: Rows) -> bool:
    """Whether two forms of a model predict the same bits, for rows mixed out of these too.

    Args:
        one: The model.
        other: Its other form.
        rows: Of which each column's values are drawn anew, 64 times.
    """
    mixed = _mixed(rows)
    predicted = (form.ask(_copy(mixed), TOGETHER) for form in (one, other))
    first, second = (array.tobytes() for array in predicted)
    return first == second


def seconds_a_row(exported: Exported, rows: Rows) -> float:
    """How long a row takes among 64: asked alone, most of its time is the call's.

    The 64 are mixed out of these: the same few again and again go one way through the trees, in
    half the time. The median of 16 times, or of as many as begin within a quarter of a second.

    Args:
        exported: The model.
        rows: Of which each column's values are drawn anew.
    """
    several = _mixed(rows)
    taken: list[float] = []
    while len(taken) < _TIMES and sum(taken) < _LONG:
        began = time.perf_counter()
        exported.ask(several, TOGETHER)
        taken.append(time.perf_counter() - began)
    return median(taken) / TOGETHER


def _zeros(signature: Signature) -> dict[str, Scalar]:
    zero: Mapping[ColumnKind, Scalar] = {"number": 0.0, "text": "", "date": "1970-01-01"}
    return {column.name: zero[column.kind] for column in signature.columns}


def _take(rows: Rows, places: Sequence[int] | NDArray[Any]) -> Inputs:
    return {name: values[places] for name, values in rows.inputs.items()}


def _copy(inputs: Inputs) -> Inputs:
    return {name: values.copy() for name, values in inputs.items()}


def _mixed(rows: Rows) -> Inputs:
    draw = np.random.default_rng(0)
    inputs = {}
    for name, values in rows.inputs.items():
        places = draw.integers(0, rows.rows, (TOGETHER, values.shape[1]))
        inputs[name] = np.ascontiguousarray(np.take_along_axis(values, places, axis=0))
    return inputs


def _refuse_not_finite(predicted: NDArray[Any]) -> None:
    finite = np.isfinite(predicted).reshape(len(predicted), -1).all(axis=1)
    if not finite.all():
        row = int(finite.argmin())
        raise Failed(f"golden row {row + 1}: it predicts {_shown(predicted[row])}")


def _refuse_others(predicted: NDArray[Any], expected: NDArray[Any], how: str) -> None:
    if predicted.shape != expected.shape:
        raise Failed(
            f"{how}, it gives predictions of shape {predicted.shape}, where {expected.shape} is due"
        )
    same = (_bits(predicted) == _bits(expected)).reshape(len(predicted), -1).all(axis=1)
    if not same.all():
        row = int(same.argmin())
        raise Failed(
            f"golden row {row + 1}, {how}: it predicts {_shown(predicted[row])}, and predicted "
            f"{_shown(expected[row])} when it was made"
        )


def _bits(values: NDArray[Any]) -> NDArray[Any]:
    """0.0 and -0.0 are two."""
    return np.ascontiguousarray(values).view(f"u{values.itemsize}")


def _shown(prediction: Any) -> str:
    return repr(prediction.tolist())
