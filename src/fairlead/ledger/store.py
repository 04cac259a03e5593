"""The ledger, put together from its parts, and the one way to open it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import sqlalchemy as sa

from fairlead.errors import Invalid
from fairlead.ledger import sqlite
from fairlead.ledger.database import PATIENCE, Database, now
from fairlead.ledger.deployments import SqlDeployments
from fairlead.ledger.migrate import bring_to_head
from fairlead.ledger.outbox import SqlOutbox
from fairlead.ledger.routes import SqlRoutes
from fairlead.ledger.runs import SqlRuns
from fairlead.ledger.schema import routes, studies, tasks, versions
from fairlead.ledger.servers import SqlServers
from fairlead.ledger.studies import SqlStudies
from fairlead.ledger.tasks import SqlTasks
from fairlead.ledger.versions import SqlVersions
from fairlead.records import Digest


class _Module(Protocol):
    """What the module of a database offers; `location` is a URL of its scheme."""

    def open_database(self, location: Path | str, *, patience: float) -> Database: ...

    def exists(self, location: Path | str) -> bool: ...


_DATABASES: Mapping[str, _Module] = {"sqlite": sqlite}  # by the scheme of their URLs
_SOURCES = sa.select(studies.c.sources).distinct()
_DIGESTS = sa.union(
    sa.select(studies.c.table_digest),
    sa.select(tasks.c.candidate).where(tasks.c.candidate.is_not(None)),
    sa.select(versions.c.manifest),
    sa.select(routes.c.details),
)


class SqlRoots:
    """Names that keep artefacts from being collected."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def digests(self) -> Sequence[Digest]:
        """Every digest that a row of the ledger names."""
        return self._database.read(_digests)


class SqlLedger:
    """The whole ledger in one database; use `open_ledger` to get one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.studies = SqlStudies(database)
        self.tasks = SqlTasks(database)
        self.versions = SqlVersions(database)
        self.outbox = SqlOutbox(database)
        self.routes = SqlRoutes(database)
        self.deployments = SqlDeployments(database)
        self.servers = SqlServers(database)
        self.runs = SqlRuns(database)
        self.roots = SqlRoots(database)

    def now(self) -> float:
        """The database's clock."""
        return self._database.read(now)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._database.close()


def open_ledger(location: Path | str, *, patience: float = PATIENCE) -> SqlLedger:
    """Open the ledger, creating it or bringing an older one up to date.

    Args:
        location: A file, or a URL such as sqlite:////srv/fairlead/ledger.db.
        patience: Seconds that a transaction waits for others before it raises Busy.

    Raises:
        Invalid: The location is no ledger, cannot be written, or a newer Fairlead made it.
        Corrupt: It was a ledger and has been emptied.
    """
    database = open_database(location, patience=patience)
    try:
        bring_to_head(database)
    except BaseException:
        database.close()
        raise
    return SqlLedger(database)


def open_database(location: Path | str, *, patience: float = PATIENCE) -> Database:
    """The database of a ledger as it is, not brought up to date.

    Raises:
        Invalid: No ledger can be there.
        Corrupt: It was a ledger and has been emptied.
    """
    return _database(location).open_database(location, patience=patience)


def exists(location: Path | str) -> bool:
    """Whether a ledger was ever opened there. Raises Invalid where none can be."""
    return _database(location).exists(location)


def _database(location: Path | str) -> _Module:
    scheme, separator, _ = str(location).partition("://")
    kind = scheme if separator else "sqlite"
    if kind not in _DATABASES:
        raise Invalid(f"ledger {location!r}: it must be a file, or a URL like sqlite:///FILE")
    return _DATABASES[kind]


def _digests(connection: sa.Connection) -> Sequence[Digest]:
    named = connection.execute(_DIGESTS).scalars().all()
    sources = connection.execute(_SOURCES).scalars().all()
    own = {digest for files in sources for digest in files.values()}
    return sorted(own.union(named))
