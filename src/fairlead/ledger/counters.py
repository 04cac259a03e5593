"""The counters of a study, which make `counts` cost the same at any size.

Belongs here: changing, reading and recounting them. Does not: why they change.
"""

from __future__ import annotations

import sqlalchemy as sa

from fairlead.ledger.schema import results, studies
from fairlead.records import Counts

_NAMES = ("ready", "running", "done", "failed", "pruned", "results")
_CHANGE = (
    studies.update()
    .where(studies.c.number == sa.bindparam("study"))
    .values({name: studies.c[name] + sa.bindparam(f"more_{name}") for name in _NAMES})
    .returning(studies.c.results)
)
_READ = sa.select(*(studies.c[name] for name in _NAMES[:-1])).where(
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


def change(connection: sa.Connection, study: int, **more: int) -> int:
    """Add to the counters of a study.

    Args:
        connection: Of the transaction that changes what is counted.
        study: Number of the study.
        **more: Name of a counter to what is added to it.

    Returns:
        The number of results there are now.
    """
    changes = {f"more_{name}": more.get(name, 0) for name in _NAMES}
    return int(connection.execute(_CHANGE, {"study": study, **changes}).scalar_one())


def recount(connection: sa.Connection, study: int) -> None:
    """Count the listed results again: the study's size moved."""
    connection.execute(_RECOUNT, {"study": study})


def counts(connection: sa.Connection, study: str) -> Counts | None:
    """The counters of the study with this id; None where there is none."""
    row = connection.execute(_READ, {"id": study}).one_or_none()
    return None if row is None else Counts(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
