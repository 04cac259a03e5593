"""Results: how each trial ended, once, and the counters of their study.

A study's row counts its tasks and results, so that reading the counts costs the same at any size.
Results are marked by the same row: marks rise in the order of commitment, also where a database
lets several transactions write at once, so that a reader who asks for what came after a mark misses
none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from fairlead.ledger.database import Row
from fairlead.ledger.schema import results, studies
from fairlead.records import Counts, Result

_NAMES = ("ready", "running", "done", "failed", "pruned", "results")
_COUNT = (
    studies.update()
    .where(studies.c.number == sa.bindparam("study"))
    .values(
        {name: studies.c[name] + sa.bindparam(f"more_{name}") for name in _NAMES}
        | {"served": sa.func.coalesce(sa.bindparam("token", type_=sa.BigInteger), studies.c.served)}
    )
    .returning(studies.c.results)
)
_COUNTS = sa.select(*(studies.c[name] for name in _NAMES[:-1])).where(
    studies.c.id == sa.bindparam("id")
)


def _results_in(state: str) -> sa.ScalarSelect[int]:
    return (
        sa.select(sa.func.count())
        .where(
            results.c.study == studies.c.number,
            results.c.trial < studies.c.size,
            results.c.state == state,
        )
        .scalar_subquery()
    )


_RECOUNT = (
    studies.update()
    .where(studies.c.number == sa.bindparam("study"))
    .values({name: _results_in(name) for name in ("done", "failed", "pruned")})
)
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
    results.c.curve,
)
_SINCE = (
    sa.select(*_COLUMNS, studies.c.size)
    .join(studies, studies.c.number == results.c.study)
    .where(studies.c.id == sa.bindparam("id"), results.c.mark > sa.bindparam("after"))
    .order_by(results.c.mark)
)


_OF_TRIALS = sa.select(*_COLUMNS).where(
    results.c.study == sa.bindparam("of"),
    results.c.trial.between(sa.bindparam("first"), sa.bindparam("last")),
)
_ENDED = sa.select(sa.func.count()).where(
    results.c.study == sa.bindparam("of"), results.c.trial < sa.bindparam("below")
)
_SCORED = (
    sa.select(*_COLUMNS)
    .join(studies, studies.c.number == results.c.study)
    .where(
        studies.c.id == sa.bindparam("id"),
        results.c.trial < studies.c.size,
        results.c.score.is_not(None),
    )
    .limit(1)
)
_LOWEST = _SCORED.order_by(results.c.score, results.c.trial)
_HIGHEST = _SCORED.order_by(results.c.score.desc(), results.c.trial)


def count(connection: sa.Connection, study: int, *, served: int | None = None, **more: int) -> int:
    """Add to the counters of a study.

    Args:
        connection: Of the transaction that changes what is counted.
        study: Number of the study.
        served: Token of a claim of one of its tasks, where there is a new one.
        **more: Name of a counter to what is added to it.

    Returns:
        The number of results there are now.
    """
    changes = {f"more_{name}": more.get(name, 0) for name in _NAMES}
    values = {"study": study, "token": served, **changes}
    return int(connection.execute(_COUNT, values).scalar_one())


def recount(connection: sa.Connection, study: int) -> None:
    """Count the listed results again: the study's size moved."""
    connection.execute(_RECOUNT, {"study": study})


def counts(connection: sa.Connection, study: str) -> Counts | None:
    """The counters of the study with this id; None where there is none."""
    row = connection.execute(_COUNTS, {"id": study}).one_or_none()
    return None if row is None else Counts(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it


def ended(connection: sa.Connection, study: int, below: int) -> int:
    """How many of the study's trials with a lower number have ended."""
    return int(connection.execute(_ENDED, {"of": study, "below": below}).scalar_one())


def write(
    connection: sa.Connection,
    study: int,
    found: Sequence[Result],
    *,
    served: int | None = None,
    **more: int,
) -> None:
    """Append the results of tasks that just ended.

    Args:
        connection: Of the transaction that ended them.
        study: Number of the study.
        found: The results, with the attempts that they took by the ledger's own count.
        served: As for `count`.
        **more: What else changes in the study's counters.
    """
    states = Counter[str](result.state for result in found)
    last = count(connection, study, served=served, results=len(found), **states, **more)
    first = last - len(found) + 1
    rows = [_row(study, mark, result) for mark, result in enumerate(found, start=first)]
    connection.execute(_INSERT, rows if len(rows) > 1 else rows[0])


def since(connection: sa.Connection, study: str, after: int) -> tuple[Sequence[Result], int]:
    """Results below the study's size with a higher mark, and the highest mark seen."""
    rows = connection.execute(_SINCE, {"id": study, "after": after}).all()
    return [_result(row) for row in rows if row.trial < row.size], rows[-1].mark if rows else after


def of_trials(
    connection: sa.Connection, study: int, *, first: int, last: int
) -> Mapping[int, Result]:
    """The results of the trials from one to another, by number, as far as there are any.

    Args:
        connection: Of the reading transaction.
        study: Number of the study.
        first: The lowest number of a trial.
        last: The highest.
    """
    rows = connection.execute(_OF_TRIALS, {"of": study, "first": first, "last": last})
    return {row.trial: _result(row) for row in rows}


def leading(connection: sa.Connection, study: str, *, highest: bool) -> Result | None:
    """The result with the best score of the study with this id; None where none has one."""
    row = connection.execute(_HIGHEST if highest else _LOWEST, {"id": study}).one_or_none()
    return None if row is None else _result(row)


def _row(study: int, mark: int, result: Result) -> dict[str, object]:
    return {
        "study": study,
        "mark": mark,
        "trial": result.number,
        "state": result.state,
        "scores": result.scores,
        "score": result.score,
        "seconds": result.seconds,
        "reason": result.reason,
        "attempts": result.attempts,
        "curve": result.curve or None,
    }


def _result(row: Row) -> Result:
    return Result(
        number=row.trial,
        state=row.state,
        scores=row.scores,
        score=row.score,
        seconds=row.seconds,
        reason=row.reason,
        attempts=row.attempts,
        curve=row.curve or (),
    )
