"""The outbox: what MLflow's registry has yet to hear.

An entry is put in by the transaction that makes it true, and leaves once it has arrived. What is
away delays entries and loses none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import sqlalchemy as sa

from fairlead.ledger.database import Database
from fairlead.ledger.schema import outbox

_PENDING = sa.select(outbox).order_by(outbox.c.id).limit(sa.bindparam("most"))
_SENT = outbox.delete().where(outbox.c.id == sa.bindparam("entry"))


class SqlOutbox:
    """What MLflow's registry has yet to hear."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pending(self, limit: int = 100) -> Sequence[tuple[int, str, dict[str, object]]]:
        """(id, 'version' or 'champion', payload), the oldest first."""
        return self._database.read(
            lambda connection: [
                (row.id, row.kind, row.payload)
                for row in connection.execute(_PENDING, {"most": limit})
            ]
        )

    def sent(self, entry: int) -> None:
        """The entry has arrived."""
        self._database.write(lambda connection: connection.execute(_SENT, {"entry": entry}))


def append(
    connection: sa.Connection,
    kind: Literal["version", "champion"],
    payload: Mapping[str, object],
) -> None:
    """Put an entry in, in the transaction that makes it true."""
    row = {"kind": kind, "payload": payload}
    connection.execute(outbox.insert(), row)
