"""Workers that are alive, each under a lease that it extends.

The lease is of the worker itself, with a task or without one. That of a task is another: it is
what decides whether a result counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from fairlead.ledger.database import (
    Database,
    Now,
    Row,
    check_lease,
    lease_has_ended,
    lease_is_due,
    now,
)
from fairlead.ledger.schema import leaving_workers, workers
from fairlead.records import FleetWorker

_ROW = sa.select(workers, Now().label("now"))
_ALL = _ROW.order_by(workers.c.started, workers.c.name)
_ONE = _ROW.where(workers.c.name == sa.bindparam("worker"))
_INSERT = workers.insert()
_IS_IT = workers.c.name == sa.bindparam("it")
_UPDATE = workers.update().where(_IS_IT)
_DELETE = workers.delete().where(_IS_IT)
_FORGET_LEAVING = leaving_workers.delete().where(leaving_workers.c.worker == sa.bindparam("it"))


class SqlWorkers:
    """The workers that are alive."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def seen(self, worker: FleetWorker, *, lease: float) -> None:
        """Note that it is alive for so many seconds more, and the memory that it holds."""
        check_lease(lease)
        row = self._database.read(lambda connection: _row(connection, worker.name))
        if row is None or lease_is_due(row.now, lease=lease, ends=row.lease_ends):
            # After a power cut no worker is left that this could be true of.
            self._database.write(
                lambda connection: _write(connection, worker, lease), durable=False
            )

    def gone(self, worker: str) -> None:
        """Forget it, and that it was asked to leave."""

        def forget(connection: sa.Connection) -> None:
            connection.execute(_DELETE, {"it": worker})
            connection.execute(_FORGET_LEAVING, {"it": worker})

        self._database.write(forget, durable=False)

    def alive(self) -> Sequence[FleetWorker]:
        """Those whose lease has not ended, the oldest first."""
        return [_worker(row) for row in self._rows() if not _has_ended(row)]

    def silent(self) -> Sequence[FleetWorker]:
        """Those whose lease has ended and that did not say goodbye, while they are remembered."""
        return [_worker(row) for row in self._rows() if _has_ended(row)]

    def _rows(self) -> Sequence[Row]:
        return self._database.read(lambda connection: connection.execute(_ALL).all())


def _row(connection: sa.Connection, worker: str) -> Row | None:
    return connection.execute(_ONE, {"worker": worker}).one_or_none()


def _write(connection: sa.Connection, worker: FleetWorker, lease: float) -> None:
    row = _row(connection, worker.name)
    at = now(connection) if row is None else row.now
    values = {"used": worker.used, "seen": at, "lease": lease, "lease_ends": at + lease}
    if row is not None:
        connection.execute(_UPDATE, {"it": worker.name, **values})
        return
    _forget_ended(connection)
    first = {
        "name": worker.name,
        "host": worker.host,
        "process": worker.process,
        "offer": worker.offer,
        "study": worker.study,
        "started": at,
    }
    connection.execute(_INSERT, first | values)


_REMEMBERED = 3600.0
"""Seconds that a worker which was killed is remembered, so that a person can see it."""


def _forget_ended(connection: sa.Connection) -> None:
    """Those that were killed said no goodbye, and no other worker has their names."""
    for row in connection.execute(_ALL).all():
        if _has_ended(row) and abs(row.now - row.seen) > _REMEMBERED:
            connection.execute(_DELETE, {"it": row.name})
            connection.execute(_FORGET_LEAVING, {"it": row.name})


def _has_ended(row: Row) -> bool:
    return lease_has_ended(row.now, lease=row.lease, ends=row.lease_ends)


def _worker(row: Row) -> FleetWorker:
    return FleetWorker(
        name=row.name,
        host=row.host,
        process=row.process,
        offer=row.offer,
        study=row.study,
        used=row.used,
        started=row.started,
        seen=row.seen,
    )
