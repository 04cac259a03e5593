"""A study's trials as a table: CSV, or Parquet with a type for each column.

A row is a trial. A parameter that two families share is one column; it is empty where the trial has
none of that name. Floats are written so that reading them gives the same bits.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from fairlead.export.material import Material, exact
from fairlead.records import Scalar, Span, TrialRow

if TYPE_CHECKING:
    import pyarrow as pa

Form: TypeAlias = Literal["csv", "parquet"]
_EXACT = 1 << 53  # whole numbers up to here are exact as floats


def table(material: Material, form: Form) -> bytes:
    """The content of a file of this form."""
    return _WRITERS[form](material)


def _csv(material: Material) -> bytes:
    named, folds, epochs = _parameters(material), _folds(material), _epochs(material)
    header = (
        *("number", "state", "family", *(f"params.{name}" for name in named)),
        *(f"fold.{fold}" for fold in range(folds)),
        *(f"epoch.{epoch}" for epoch in epochs),
        *("score", "seconds", "attempts", "began", "ended", "reason"),
    )
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(_line(material, row, named, folds, epochs) for row in material.rows)
    return stream.getvalue().encode()


def _line(
    material: Material, row: TrialRow, named: Sequence[str], folds: int, epochs: range
) -> Sequence[str | float | None]:
    params = row.trial.params
    ended = _ended(row)
    times = (
        None if at is None else at.isoformat(timespec="microseconds")
        for at in _times(material, row)
    )
    return (
        *(row.trial.number, row.state, row.trial.family),
        *(exact(params[name]) if name in params else None for name in named),
        *(_fold(row, fold) for fold in range(folds)),
        *(_epoch(row, epoch) for epoch in epochs),
        *ended[:3],
        *times,
        ended[3],
    )


def _ended(row: TrialRow) -> tuple[float | None, float | None, int, str | None]:
    """Score, seconds, attempts and reason."""
    result = row.result
    if result is None:
        return None, None, 0, None
    return result.score, result.seconds, result.attempts, result.reason


def _parquet(material: Material) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    stream = pa.BufferOutputStream()
    pq.write_table(pa.table(dict(_typed(material))), stream)
    content: bytes = stream.getvalue().to_pybytes()
    return content


def _typed(material: Material) -> Mapping[str, pa.Array]:
    import pyarrow as pa

    rows = material.rows
    ended = [_ended(row) for row in rows]
    began, until = zip(*(_times(material, row) for row in rows), strict=True) if rows else ((), ())
    moment = pa.timestamp("us", tz="UTC")
    return {
        "number": pa.array([row.trial.number for row in rows], pa.int64()),
        "state": pa.array([row.state for row in rows], pa.string()),
        "family": pa.array([row.trial.family for row in rows], pa.string()),
        **{
            f"params.{name}": _column([row.trial.params.get(name) for row in rows])
            for name in _parameters(material)
        },
        **{
            f"fold.{fold}": pa.array([_fold(row, fold) for row in rows], pa.float64())
            for fold in range(_folds(material))
        },
        **{
            f"epoch.{epoch}": pa.array([_epoch(row, epoch) for row in rows], pa.float64())
            for epoch in _epochs(material)
        },
        "score": pa.array([score for score, *_ in ended], pa.float64()),
        "seconds": pa.array([seconds for _, seconds, *_ in ended], pa.float64()),
        "attempts": pa.array([attempts for *_, attempts, _ in ended], pa.int64()),
        "began": pa.array(began, moment),
        "ended": pa.array(until, moment),
        "reason": pa.array([reason for *_, reason in ended], pa.string()),
    }


def _column(values: Sequence[Scalar]) -> pa.Array:
    """Parameters as their type where all have one; else as texts."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    whole = [value for value in values if type(value) is int]
    if kinds == {int, float} and all(abs(value) <= _EXACT for value in whole):
        return pa.array([None if one is None else float(one) for one in values], pa.float64())
    alone = {int: pa.int64(), float: pa.float64(), bool: pa.bool_(), str: pa.string()}
    if len(kinds) == 1:
        return pa.array(values, alone[kinds.pop()])
    return pa.array([None if value is None else exact(value) for value in values], pa.string())


def _parameters(material: Material) -> Sequence[str]:
    return sorted({name for row in material.rows for name in row.trial.params})


def _folds(material: Material) -> int:
    return max((len(row.result.scores) for row in material.rows if row.result), default=0)


def _fold(row: TrialRow, fold: int) -> float | None:
    return row.result.scores[fold] if row.result and fold < len(row.result.scores) else None


def _epochs(material: Material) -> range:
    """The numbers of the epochs at whose ends some trial was scored."""
    longest = max((len(row.result.curve) for row in material.rows if row.result), default=0)
    return range(1, longest + 1)


def _epoch(row: TrialRow, epoch: int) -> float | None:
    return row.result.curve[epoch - 1] if row.result and epoch <= len(row.result.curve) else None


def _times(material: Material, row: TrialRow) -> tuple[datetime | None, datetime | None]:
    """When the last attempt began and ended; nothing of a trial that waits."""
    span: Span | None = material.spans.get(row.trial.number)
    if span is None or row.state == "waiting":
        return None, None
    ended = None if span.ended is None else datetime.fromtimestamp(span.ended, UTC)
    return datetime.fromtimestamp(span.began, UTC), ended


_WRITERS: Mapping[Form, Callable[[Material], bytes]] = {"csv": _csv, "parquet": _parquet}
