"""Results: how each trial ended, once.

Belongs here: writing and reading them. Does not: whether an attempt may write any.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import sqlalchemy as sa

from fairlead.ledger import counters
from fairlead.ledger.codecs import scores_from_json, scores_to_json
from fairlead.ledger.database import Row
from fairlead.ledger.schema import results, studies
from fairlead.records import Result

_INSERT = results.insert()
_COLUMNS = (
    results.c.mark,
    results.c.trial,
    results.c.state,
    results.c.scores,
    results.c.score,
    results.c.seconds,
    results.c.reason,
    results.c.attempts,
)
_SINCE = (
    sa.select(*_COLUMNS, studies.c.size)
    .join(studies, studies.c.number == results.c.study)
    .where(studies.c.id == sa.bindparam("id"), results.c.mark > sa.bindparam("after"))
    .order_by(results.c.mark)
)


def write(
    connection: sa.Connection, study: int, found: Sequence[Result], *, attempts: int, **more: int
) -> None:
    """Append the results of a task that just ended.

    Args:
        connection: Of the transaction that ended it.
        study: Number of the study.
        found: The results.
        attempts: How many attempts they took, by the ledger's own count.
        **more: What else changes in the study's counters.
    """
    # The mark comes from the study's own row, so marks rise in order of commitment even where a
    # database lets several transactions write at once: no reader can miss a result.
    states = Counter[str](result.state for result in found)
    last = counters.change(connection, study, results=len(found), **states, **more)
    first = last - len(found) + 1
    rows = [_row(study, mark, result, attempts) for mark, result in enumerate(found, start=first)]
    connection.execute(_INSERT, rows)


def since(connection: sa.Connection, study: str, after: int) -> tuple[Sequence[Result], int]:
    """Results below the study's size with a higher mark, and the highest mark seen."""
    rows = connection.execute(_SINCE, {"id": study, "after": after}).all()
    return [_result(row) for row in rows if row.trial < row.size], rows[-1].mark if rows else after


def _row(study: int, mark: int, result: Result, attempts: int) -> dict[str, object]:
    return {
        "study": study,
        "mark": mark,
        "trial": result.number,
        "state": result.state,
        "scores": scores_to_json(result.scores),
        "score": result.score,
        "seconds": result.seconds,
        "reason": result.reason,
        "attempts": attempts,
    }


def _result(row: Row) -> Result:
    return Result(
        number=row.trial,
        state=row.state,
        scores=scores_from_json(row.scores),
        score=row.score,
        seconds=row.seconds,
        reason=row.reason,
        attempts=row.attempts,
    )
