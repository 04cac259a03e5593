"""Serving programs that are alive, each under a lease that it extends."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from fairlead.ledger import deployments
from fairlead.ledger.database import (
    LEASE_PATIENCE,
    Database,
    Now,
    Row,
    check_lease,
    lease_has_ended,
    lease_is_due,
    now,
)
from fairlead.ledger.schema import servers
from fairlead.records import Server

_ROW = sa.select(servers, Now().label("now"))
_ALL = _ROW.order_by(servers.c.started, servers.c.id)
_ONE = _ROW.where(servers.c.id == sa.bindparam("id"))
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
        check_lease(lease)
        row = self._database.read(lambda connection: _row(connection, server.id))
        if row is not None and not _is_to_write(row, server, lease):
            return
        # After a power cut no server is left that this could be true of.
        self._database.write(
            lambda connection: _write(connection, server, lease),
            durable=False,
            patience=LEASE_PATIENCE,
        )

    def gone(self, server: str) -> None:
        """Forget it, and what it holds."""
        self._database.write(lambda connection: _forget(connection, server))

    def alive(self) -> Sequence[Server]:
        """Those whose lease has not ended, the oldest first."""
        return [_server(row) for row in self._rows() if not _has_ended(row)]

    def silent(self) -> Sequence[Server]:
        """Those whose lease has ended and that did not say goodbye, while they are remembered."""
        return [_server(row) for row in self._rows() if _has_ended(row)]

    def _rows(self) -> Sequence[Row]:
        return self._database.read(lambda connection: connection.execute(_ALL).all())


def _row(connection: sa.Connection, server: str) -> Row | None:
    return connection.execute(_ONE, {"id": server}).one_or_none()


def _forget(connection: sa.Connection, server: str) -> None:
    connection.execute(_DELETE, {"it": server})
    deployments.release(connection, server)


def _is_to_write(row: Row, server: Server, lease: float) -> bool:
    given = (server.url, server.processes, server.models, dict(server.routes))
    known = (
        row.url,
        row.processes,
        row.models,
        row.routes,
    )
    return given != known or lease_is_due(row.now, lease=lease, ends=row.lease_ends)


def _write(connection: sa.Connection, server: Server, lease: float) -> None:
    row = _row(connection, server.id)
    if row is not None:
        connection.execute(_UPDATE, {"it": row.id, **_values(server, lease, row.now)})
        return
    _forget_ended(connection)
    at = now(connection)
    first = {"id": server.id, "started": server.started or at}
    connection.execute(_INSERT, first | _values(server, lease, at))


def _forget_ended(connection: sa.Connection) -> None:
    """Those that were killed said no goodbye, and no other server has their names."""
    for row in connection.execute(_ALL).all():
        if _has_ended(row):
            connection.execute(_DELETE, {"it": row.id})


def _has_ended(row: Row) -> bool:
    return lease_has_ended(row.now, lease=row.lease, ends=row.lease_ends)


def _values(server: Server, lease: float, at: float) -> dict[str, object]:
    return {
        "url": server.url,
        "processes": server.processes,
        "models": server.models,
        "routes": server.routes,
        "seen": at,
        "lease": lease,
        "lease_ends": at + lease,
    }


def _server(row: Row) -> Server:
    return Server(
        id=row.id,
        url=row.url,
        processes=row.processes,
        models=row.models,
        routes=row.routes,
        started=row.started,
        seen=row.seen,
    )
