"""Which trials of a study its runs want: as many of the first as the largest that goes on asks for.

What none wants is withdrawn, also where a process that has yet to learn that its run has ended puts
more in. A study that never had a run is somebody else's, and all of it is wanted.
"""

from __future__ import annotations

import json

import sqlalchemy as sa

from fairlead.ledger.database import Row
from fairlead.ledger.schema import runs

_OF_STUDY = runs.c.study == sa.bindparam("of")
_GOING_ON = sa.select(runs.c.spec).where(
    _OF_STUDY, runs.c.state == sa.literal_column("'running'"), runs.c.id != sa.bindparam("but")
)
_ANY = sa.select(sa.exists().where(_OF_STUDY))


def wanted(connection: sa.Connection, study: Row) -> int:
    """How many of a study's first trials are wanted."""
    if not connection.execute(_ANY, {"of": study.number}).scalar_one():
        return int(study.size)
    return wanted_by_runs(connection, study)


def wanted_by_runs(connection: sa.Connection, study: Row, *, without: str = "") -> int:
    """How many of a study's first trials the runs want that go on, but for the one with this id."""
    going_on = connection.execute(_GOING_ON, {"of": study.number, "but": without})
    sizes = [asked(spec) for spec in going_on.scalars()]
    return int(min(study.size, max((study.size if n is None else n for n in sizes), default=0)))


def asked(spec: str) -> int | None:
    """Trials that a run asks for; None for all that its study has."""
    try:
        trials = json.loads(spec)["search"]["trials"]
    except (ValueError, KeyError, TypeError):  # whoever carries it says what is wrong with it
        return None
    return trials if isinstance(trials, int) else None
