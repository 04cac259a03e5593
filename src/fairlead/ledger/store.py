"""The ledger on SQLite, put together.

Belongs here: opening it, and the parts as one object. Does not: what the parts do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import sqlalchemy as sa

from fairlead.errors import Invalid
from fairlead.ledger.codecs import sources_from_json
from fairlead.ledger.database import PATIENCE, Database, now
from fairlead.ledger.deployments import SqlDeployments
from fairlead.ledger.migrate import bring_to_head
from fairlead.ledger.outbox import SqlOutbox
from fairlead.ledger.routes import SqlRoutes
from fairlead.ledger.schema import routes, studies, tasks, versions
from fairlead.ledger.servers import SqlServers
from fairlead.ledger.studies import SqlStudies
from fairlead.ledger.tasks import SqlTasks
from fairlead.ledger.versions import SqlVersions
from fairlead.records import Digest

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
        with self._database.read() as connection:
            named = connection.execute(_DIGESTS).scalars().all()
            sources = connection.execute(_SOURCES).scalars().all()
        own = {digest for text in sources for digest in sources_from_json(text).values()}
        return sorted(own.union(named))


class SqlLedger:
    """The whole ledger in one SQLite file; use `open_ledger` to get one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.studies = SqlStudies(database)
        self.tasks = SqlTasks(database)
        self.versions = SqlVersions(database)
        self.outbox = SqlOutbox(database)
        self.routes = SqlRoutes(database)
        self.deployments = SqlDeployments(database)
        self.servers = SqlServers(database)
        self.roots = SqlRoots(database)

    def now(self) -> float:
        """The database's clock."""
        with self._database.read() as connection:
            return now(connection)

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
    file = _file(location)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid(f"ledger {str(file)!r}: its folder cannot be made: {error}") from error
    database = Database(file, patience=patience)
    try:
        bring_to_head(database)
    except BaseException:
        database.close()
        raise
    return SqlLedger(database)


def _file(location: Path | str) -> Path:
    if isinstance(location, Path) or "://" not in location:
        return Path(location)
    url = sa.make_url(location)
    if url.get_backend_name() != "sqlite" or not url.database:
        raise Invalid(f"ledger {location!r}: it must be a file, or a URL like sqlite:///FILE")
    return Path(url.database)
