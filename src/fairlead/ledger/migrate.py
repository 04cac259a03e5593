"""The revision of a ledger's tables, and bringing them to the one this program knows.

A database without tables becomes a ledger at once, without Alembic, which takes longer to load than
all the rest. An older ledger goes through the migrations, in one transaction; what they change
stands in migrations/versions. A newer one is refused and left alone.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from fairlead.errors import Invalid
from fairlead.ledger.database import Database
from fairlead.ledger.schema import HEAD, metadata

MIGRATIONS = Path(__file__).parent / "migrations"
_NEW = ""  # the revision of a database without tables
_LOCK = "schema"
_STAMPS = sa.table("alembic_version", sa.column("version_num", sa.String))


def bring_to_head(database: Database) -> None:
    """Create the ledger in a new database, migrate an older one, leave a current one alone.

    Raises:
        Invalid: The database is something else, or from a newer Fairlead.
        Corrupt: It was a ledger and has been emptied.
    """
    found = database.read(lambda connection: revision_of(connection, database.name))
    database.prepare()
    if found != HEAD:
        database.write(lambda connection: _change(connection, database), lock=_LOCK)


def revision_of(connection: sa.Connection, name: str) -> str:
    """The revision of the tables; empty where there are none.

    Raises:
        Invalid: There are tables, but not those of a ledger.
    """
    tables = set(sa.inspect(connection).get_table_names())
    if not tables:
        return _NEW
    if not {"alembic_version", "studies"} <= tables:
        raise Invalid(f"ledger {name!r}: a database of something else; choose another file")
    return str(connection.execute(sa.select(_STAMPS)).scalar_one())


def create(connection: sa.Connection) -> None:
    """Make every table at once, as the migrations would one after the other (a test holds it)."""
    metadata.create_all(connection)
    connection.exec_driver_sql(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
        "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    connection.execute(_STAMPS.insert(), {"version_num": HEAD})


def migrate(connection: sa.Connection, name: str, *, scripts: Path = MIGRATIONS) -> None:
    """Run the migrations that the ledger lacks, in the transaction of the connection.

    Args:
        connection: Of a write transaction.
        name: The ledger's, for messages.
        scripts: The folder of the migrations.

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
            "choose another $FAIRLEAD_HOME"
        ) from error


def _change(connection: sa.Connection, database: Database) -> None:
    """Several processes may open the ledger at once: look again under the lock, then write."""
    found = revision_of(connection, database.name)
    if found == _NEW:
        database.refuse_emptied()
        create(connection)
    elif found != HEAD:
        migrate(connection, database.name)
