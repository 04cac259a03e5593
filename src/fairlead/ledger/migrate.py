"""The revision of a ledger file, and bringing it to the one this program knows.

Belongs here: telling what a file is, creating a ledger, starting migrations. Does not: what a
migration changes (migrations/versions).

A file without tables is new, unless artefacts lie beside it: these are made only after the tables,
so something emptied the file since (a full disk, a failed copy, a copy without its log, a hand).
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from fairlead.errors import Corrupt, Invalid
from fairlead.ledger.database import Database
from fairlead.ledger.schema import HEAD, metadata
from fairlead.settings import Settings

MIGRATIONS = Path(__file__).parent / "migrations"
_HEADER = 100  # bytes; SQLite takes some shorter files for new ones
_NEW = ""  # the revision of a file without tables
_STAMPS = sa.table("alembic_version", sa.column("version_num", sa.String))


def bring_to_head(database: Database) -> None:
    """Create the ledger in a new file, migrate an older one, leave a current one alone.

    Alembic is loaded only where there is something to migrate: it takes longer than all the rest.

    Raises:
        Invalid: The file is something else, or from a newer Fairlead.
        Corrupt: It was a ledger and has been emptied.
    """
    refuse_emptied(database.file)
    with database.read() as connection:
        found = revision_of(connection, database.file)
    database.keep_log_ahead()
    if found != HEAD:
        _change(database)


def refuse_emptied(file: Path) -> None:
    """Refuse an empty file, or none, beside what only a ledger leaves.

    Before SQLite opens it: SQLite deletes the log beside an empty file, and the log may hold
    everything. It makes one only once the file has its first page.

    Raises:
        Corrupt: It was a ledger and has been emptied.
        Invalid: What is beside it cannot be read.
    """
    log = file.with_name(f"{file.name}-wal")
    logged = log if log.exists() and log.stat().st_size else None
    left = _artifacts(file) or logged  # looked for first: others may be making file and artefacts
    if not file.exists() or file.stat().st_size < _HEADER:
        _refuse_beside(left, file)


def revision_of(connection: sa.Connection, file: Path) -> str:
    """The file's revision; empty for a file without tables.

    Raises:
        Invalid: It has tables, but not those of a ledger.
    """
    tables = set(sa.inspect(connection).get_table_names())
    if not tables:
        return _NEW
    if not {"alembic_version", "studies"} <= tables:
        raise Invalid(f"ledger {str(file)!r}: a database of something else; choose another file")
    return str(connection.execute(sa.select(_STAMPS)).scalar_one())


def create(connection: sa.Connection) -> None:
    """Make every table at once, as the migrations would one after the other (a test holds it)."""
    metadata.create_all(connection)
    connection.exec_driver_sql(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
        "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    connection.execute(_STAMPS.insert(), {"version_num": HEAD})


def migrate(connection: sa.Connection, file: Path, *, scripts: Path = MIGRATIONS) -> None:
    """Run the migrations that the file lacks, in the transaction of the connection.

    Args:
        connection: Of a write transaction.
        file: The ledger's file, for messages.
        scripts: The folder of the migrations.

    Raises:
        Invalid: The file's revision is none of them: a newer Fairlead made it.
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
            f"ledger {str(file)!r}: a newer Fairlead made it ({error}); upgrade Fairlead, or "
            "choose another $FAIRLEAD_HOME"
        ) from error


def _change(database: Database) -> None:
    """Several processes may open the file at once: look again under the lock, then write."""
    with database.write() as connection:
        found = revision_of(connection, database.file)
        if found == _NEW:
            _refuse_beside(_artifacts(database.file), database.file)
            create(connection)
        elif found != HEAD:
            migrate(connection, database.file)


def _artifacts(file: Path) -> Path | None:
    """The folder of the artefacts beside the ledger, if there are any."""
    folder = Settings(home=file.parent).artifacts
    try:
        return folder if folder.is_dir() and any(folder.iterdir()) else None
    except OSError as error:
        raise Invalid(
            f"ledger {str(file)!r}: {folder.name!r} beside it cannot be read; check who owns it "
            f"({error.strerror})"
        ) from error


def _refuse_beside(left: Path | None, file: Path) -> None:
    if left is not None:
        raise Corrupt(
            f"ledger {str(file)!r}: it holds nothing, and {left.name!r} beside it shows that it "
            "was a ledger; restore the file from a backup, or move its folder away to begin anew"
        )
