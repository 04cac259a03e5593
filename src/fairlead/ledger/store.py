"""The ledger, put together from its parts, and the one way to open it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self, TypeAlias

import sqlalchemy as sa

from fairlead.errors import Invalid, NextStep
from fairlead.formatting import without_password
from fairlead.ledger import http, postgres, sqlite
from fairlead.ledger.autoscaling import SqlAutoscaling
from fairlead.ledger.database import HOME, PATIENCE, SCHEMA_LOCK, Database, now
from fairlead.ledger.deployments import SqlDeployments
from fairlead.ledger.events import SqlHistories
from fairlead.ledger.fits import SqlFits
from fairlead.ledger.interface import Ledger, Requests
from fairlead.ledger.requests import OnceDatabase, SqlRequests
from fairlead.ledger.routes import SqlRoutes
from fairlead.ledger.runs import SqlRuns
from fairlead.ledger.schedules import SqlSchedules
from fairlead.ledger.schema import HEAD, metadata, routes, studies, tasks, versions
from fairlead.ledger.servers import SqlServers
from fairlead.ledger.studies import SqlStudies
from fairlead.ledger.tasks import SqlTasks
from fairlead.ledger.versions import SqlOutbox, SqlVersions
from fairlead.ledger.workers import SqlWorkers
from fairlead.records import Digest


class _Module(Protocol):
    """What the module of a database offers; `location` is a URL of its scheme."""

    def open_database(
        self, location: Path | str, *, patience: float, setting: str, restoring: bool
    ) -> Database: ...

    def exists(self, location: Path | str) -> bool: ...


_DATABASES: Mapping[str, _Module] = {  # by the scheme of their URLs
    "sqlite": sqlite,
    "postgresql": postgres,
    "postgres": postgres,
}
_SOURCES = sa.select(studies.c.sources).distinct()
_DIGESTS = sa.union(
    sa.select(studies.c.table_digest),
    sa.select(tasks.c.candidate).where(tasks.c.candidate.is_not(None)),
    sa.select(tasks.c.checkpoint).where(tasks.c.checkpoint.is_not(None)),
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
        self._database = database = OnceDatabase(database)
        self.studies = SqlStudies(database)
        self.histories = SqlHistories(database)
        self.tasks = SqlTasks(database)
        self.fits = SqlFits(database)
        self.versions = SqlVersions(database)
        self.outbox = SqlOutbox(database)
        self.routes = SqlRoutes(database)
        self.deployments = SqlDeployments(database)
        self.servers = SqlServers(database)
        self.workers = SqlWorkers(database)
        self.runs = SqlRuns(database)
        self.schedules = SqlSchedules(database)
        self.autoscaling = SqlAutoscaling(database)
        self.requests = SqlRequests(database)
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


def open_ledger(location: Path | str, *, patience: float = PATIENCE, setting: str = HOME) -> Ledger:
    """Open the ledger, creating it or bringing an older one up to date.

    An older one on a server is left alone: programs of its version may be using it.

    Args:
        location: A file, or a URL such as sqlite:////srv/fairlead/ledger.db, or that of a
            `fairlead server`.
        patience: Seconds that a transaction waits for others before it raises Busy.
        setting: What named the location, for advice.

    Raises:
        Invalid: The location is no ledger, cannot be written, or another Fairlead made it.
        Corrupt: It was a ledger and has been emptied.
        Unreachable: Its server does not answer.
    """
    if http.is_behind_api(location):
        return http.open_ledger(str(location), patience=patience, setting=setting)
    database = open_database(location, patience=patience, setting=setting)
    try:
        bring_to_head(database)
    except BaseException:
        database.close()
        raise
    return SqlLedger(database)


def requests_of(ledger: Ledger) -> Requests:
    """The requests that are answered out of this ledger.

    Raises:
        Invalid: Another server has its database, and answers them.
    """
    if not isinstance(ledger, SqlLedger):
        raise Invalid(
            "$FAIRLEAD_LEDGER: a server needs the database of its ledger, not another server",
            code="behind_api",
        )
    return ledger.requests


def open_database(
    location: Path | str,
    *,
    patience: float = PATIENCE,
    setting: str = HOME,
    restoring: bool = False,
) -> Database:
    """The database of a ledger as it is, not brought up to date.

    Args:
        location: A file, or a URL.
        patience: Seconds that a transaction waits for others before it raises Busy.
        setting: What named the location, for advice.
        restoring: Whether a ledger is about to be put there; one that was emptied is no fault then.

    Raises:
        Invalid: No ledger can be there.
        Corrupt: It was a ledger and has been emptied.
    """
    return _database(location).open_database(
        location, patience=patience, setting=setting, restoring=restoring
    )


def exists(location: Path | str) -> bool:
    """Whether a ledger was ever opened there. Raises Invalid where none can be."""
    return http.is_behind_api(location) or _database(location).exists(location)


def is_current(location: Path | str, *, setting: str = HOME) -> bool:
    """Whether a ledger is there whose tables are as this program knows them; changes nothing."""
    if http.is_behind_api(location):
        return True  # its server sees to that
    return exists(location) and revision(location, setting=setting) == HEAD


def revision(location: Path | str, *, setting: str = HOME) -> str:
    """The revision of the tables that are there, not brought up to date; empty for none."""
    database = open_database(location, setting=setting)
    try:
        return database.read(lambda connection: revision_of(connection, database.name))
    finally:
        database.close()


def _database(location: Path | str) -> _Module:
    scheme, separator, _ = str(location).partition("://")
    kind = scheme if separator else "sqlite"
    if http.is_behind_api(location):
        raise Invalid(
            f"ledger {str(location)!r}: a server has it; this needs its database, so ask for it "
            "where the server runs",
            code="behind_api",
        )
    if kind not in _DATABASES:
        raise Invalid(
            f"ledger {_without_password(str(location))!r}: it must be a file, or a URL like "
            "sqlite:///FILE, postgresql://USER@HOST/DATABASE or https://HOST"
        )
    return _DATABASES[kind]


def _without_password(location: str) -> str:
    try:
        return without_password(sa.make_url(location).render_as_string(hide_password=True))
    except (sa.exc.ArgumentError, ValueError):
        return location.partition("://")[0] + "://..."


def _digests(connection: sa.Connection) -> Sequence[Digest]:
    named = connection.execute(_DIGESTS).scalars().all()
    sources = connection.execute(_SOURCES).scalars().all()
    own = {digest for files in sources for digest in files.values()}
    return sorted(own.union(named))


# ---- the revision of the tables ---------------------------------------------------------------
#
# A database without tables becomes a ledger at once, without Alembic, which takes longer to load
# than all the rest. An older ledger goes through the migrations, in one transaction; what they
# change stands in migrations/versions. A newer one is refused and left alone, and so is an older
# one that programs of other machines share, until somebody asks for the upgrade.


MIGRATIONS = Path(__file__).parent / "migrations"

_NEW = ""  # the revision of a database without tables
_OF_DATABASE = "fairlead_"  # begins the names of tables that are the database's own affair
_STAMPS = sa.table("alembic_version", sa.column("version_num", sa.String))

Standing: TypeAlias = Literal["empty", "current", "older", "newer"]


def bring_to_head(database: Database, *, upgrade: bool = False) -> str:
    """Create the ledger in a new database, migrate an older one, leave a current one alone.

    Args:
        database: Of the ledger.
        upgrade: Whether an older one is migrated also where its database is shared.

    Returns:
        The revision that was found; empty where there were no tables.

    Raises:
        Invalid: The database is something else, from a newer Fairlead, or from an older one that
            is not to be upgraded by the way.
        Corrupt: It was a ledger and has been emptied.
    """
    found = database.read(lambda connection: revision_of(connection, database.name))
    if not upgrade:
        _refuse_older(found, database)
    database.prepare()
    if found != HEAD:
        database.write(lambda connection: _change(connection, database), lock=SCHEMA_LOCK)
    return found


def standing(revision: str) -> Standing:
    """How the tables of this revision stand to those that this program knows."""
    if revision == _NEW:
        return "empty"
    if revision == HEAD:
        return "current"
    return "older" if revision in _revisions() else "newer"


def _revisions() -> set[str]:
    """Those that there are migrations for, by the names of their files; needs no Alembic."""
    files = (MIGRATIONS / "versions").glob("r*_*.py")
    return {file.stem.partition("_")[0].removeprefix("r") for file in files}


def _refuse_older(found: str, database: Database) -> None:
    if standing(found) == "older" and not database.upgrades_on_opening:
        raise Invalid(
            f"ledger {database.name!r}: an older Fairlead made it (revision {found}, this one has "
            f"{HEAD}); its workers and servers must have ended before",
            code="older_ledger",
            next_steps=(NextStep(action="ledger.upgrade", effect="brings it up to date"),),
        )


def revision_of(connection: sa.Connection, name: str) -> str:
    """The revision of the tables; empty where there are none.

    Raises:
        Invalid: There are tables, but not those of a ledger.
    """
    found = sa.inspect(connection).get_table_names()
    tables = {table for table in found if not table.startswith(_OF_DATABASE)}
    if not tables:
        return _NEW
    if not {"alembic_version", "studies", "tasks", "champions"} <= tables:
        raise Invalid(f"ledger {name!r}: a database of something else; choose another")
    return str(connection.execute(sa.select(_STAMPS)).scalar_one())


def create_tables(connection: sa.Connection) -> None:
    """Make every table at once, as the migrations would one after the other (a test holds it)."""
    metadata.create_all(connection)
    connection.exec_driver_sql(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
        "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    connection.execute(_STAMPS.insert(), {"version_num": HEAD})


def migrate(
    connection: sa.Connection, name: str, *, scripts: Path = MIGRATIONS, setting: str = HOME
) -> None:
    """Run the migrations that the ledger lacks, in the transaction of the connection.

    Args:
        connection: Of a write transaction.
        name: The ledger's, for messages.
        scripts: The folder of the migrations.
        setting: What named the ledger, for advice.

    Raises:
        Invalid: The ledger's revision is none of them: a newer Fairlead made it.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise Invalid(
            f"ledger {name!r}: a newer Fairlead made it ({error}); upgrade Fairlead, or "
            f"choose another {setting}"
        ) from error


def _change(connection: sa.Connection, database: Database) -> None:
    """Several processes may open the ledger at once: look again under the lock, then write."""
    found = revision_of(connection, database.name)
    if found == _NEW:
        database.refuse_emptied()
        create_tables(connection)
    elif found != HEAD:
        migrate(connection, database.name, setting=database.setting)
