"""The history of what models serve: rows that are only ever added.

Belongs here: appending to it and reading it. Does not: what brings an event about, and the history
of studies (events.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import sqlalchemy as sa

from fairlead.ledger.database import now
from fairlead.ledger.schema import serving_events
from fairlead.records import ServingEvent

_APPEND = serving_events.insert()
_OF_MODEL = (
    sa.select(
        serving_events.c.model,
        serving_events.c.at,
        serving_events.c.kind,
        serving_events.c.text,
        serving_events.c.revision,
        serving_events.c.route,
        serving_events.c.deployment,
    )
    .where(serving_events.c.model == sa.bindparam("model"))
    .order_by(serving_events.c.id)
)


def append(connection: sa.Connection, event: ServingEvent) -> None:
    """Add one line, at this moment."""
    connection.execute(_APPEND, asdict(replace(event, at=now(connection))))


def history(connection: sa.Connection, model: str) -> Sequence[ServingEvent]:
    """The lines of the model, the oldest first."""
    return [
        ServingEvent(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
        for row in connection.execute(_OF_MODEL, {"model": model})
    ]
