"""The history of studies: rows that are only ever added.

Belongs here: appending to it and reading it. Does not: what brings an event about.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from fairlead.ledger.schema import events, studies
from fairlead.records import Event

_APPEND = events.insert().returning(events.c.id)
_OF_STUDY = (
    sa.select(
        events.c.at,
        events.c.kind,
        events.c.task,
        events.c.attempt,
        events.c.worker,
        events.c.text,
    )
    .join(studies, studies.c.number == events.c.study)
    .where(studies.c.id == sa.bindparam("id"))
    .order_by(events.c.id)
)


def append(connection: sa.Connection, study: int, event: Event) -> int:
    """Add one line to the history of the study with this number.

    Returns:
        Its id, higher than that of every line before it.
    """
    row = {
        "at": event.at,
        "kind": event.kind,
        "study": study,
        "task": event.task,
        "attempt": event.attempt,
        "worker": event.worker,
        "text": event.text,
    }
    return int(connection.execute(_APPEND, row).scalar_one())


def history(connection: sa.Connection, study: str) -> Sequence[Event]:
    """The lines of the study with this id, the oldest first."""
    return [
        Event(study=study, **row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
        for row in connection.execute(_OF_STUDY, {"id": study})
    ]
