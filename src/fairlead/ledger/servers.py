"""Serving programs that are alive, in the database.

Belongs here: what the Protocol `Servers` asks. Does not: their processes.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from fairlead.ledger import deployments, leases
from fairlead.ledger.codecs import (
    names_from_json,
    names_to_json,
    whole_numbers_from_json,
    whole_numbers_to_json,
)
from fairlead.ledger.database import Database, Now, Row
from fairlead.ledger.schema import servers
from fairlead.records import Server

_ROW = sa.select(servers, Now().label("now"))
_ALL = _ROW.order_by(servers.c.started, servers.c.id)
_ONE = _ROW.where(servers.c.id == sa.bindparam("id"))
_NOW = sa.select(Now().label("now"))
_INSERT = servers.insert()
_IS_IT = servers.c.id == sa.bindparam("it")
_UPDATE = servers.update().where(_IS_IT)
_DELETE = servers.delete().where(_IS_IT)


class SqlServers:
    """The serving programs that are alive."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def seen(self, server: Server, *, lease: float) -> None:
        """Note that it is alive for so many seconds more, and which routes it follows."""
        with self._database.read() as connection:
            row = connection.execute(_ONE, {"id": server.id}).one_or_none()
        if row is not None and not _is_to_write(row, server, lease):
            return
        # After a power cut no server is left that this could be true of.
        with self._database.write(lasting=False, patience=leases.PATIENCE) as connection:
            _write(connection, server, lease)

    def gone(self, server: str) -> None:
        """Forget it, and what it holds."""
        with self._database.write() as connection:
            connection.execute(_DELETE, {"it": server})
            deployments.release(connection, server)

    def alive(self) -> Sequence[Server]:
        """Those whose lease has not ended, the oldest first."""
        return [_server(row) for row in self._rows() if not _has_ended(row)]

    def silent(self) -> Sequence[Server]:
        """Those whose lease has ended and that did not say goodbye, while they are remembered."""
        return [_server(row) for row in self._rows() if _has_ended(row)]

    def _rows(self) -> Sequence[Row]:
        with self._database.read() as connection:
            return connection.execute(_ALL).all()


def _is_to_write(row: Row, server: Server, lease: float) -> bool:
    said = (server.url, server.processes, server.models, dict(server.routes))
    known = (
        row.url,
        row.processes,
        names_from_json(row.models),
        whole_numbers_from_json(row.routes),
    )
    return said != known or leases.is_due(row.now, lease=lease, ends=row.lease_ends)


def _write(connection: sa.Connection, server: Server, lease: float) -> None:
    row = connection.execute(_ONE, {"id": server.id}).one_or_none()
    if row is not None:
        connection.execute(_UPDATE, {"it": row.id, **_values(server, lease, row.now)})
        return
    _forget_ended(connection)
    now = connection.execute(_NOW).scalar_one()
    first = {"id": server.id, "started": server.started or now}
    connection.execute(_INSERT, first | _values(server, lease, now))


def _forget_ended(connection: sa.Connection) -> None:
    """Those that were killed said no goodbye, and no other server has their names."""
    for row in connection.execute(_ALL).all():
        if _has_ended(row):
            connection.execute(_DELETE, {"it": row.id})


def _has_ended(row: Row) -> bool:
    return leases.has_ended(row.now, lease=row.lease, ends=row.lease_ends)


def _values(server: Server, lease: float, now: float) -> dict[str, object]:
    return {
        "url": server.url,
        "processes": server.processes,
        "models": names_to_json(server.models),
        "routes": whole_numbers_to_json(server.routes),
        "seen": now,
        "lease": lease,
        "lease_ends": now + lease,
    }


def _server(row: Row) -> Server:
    return Server(
        id=row.id,
        url=row.url,
        processes=row.processes,
        models=names_from_json(row.models),
        routes=whole_numbers_from_json(row.routes),
        started=row.started,
        seen=row.seen,
    )
