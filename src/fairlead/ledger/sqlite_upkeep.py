"""The upkeep of a ledger that is a SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import sqlalchemy as sa

from fairlead.errors import Invalid
from fairlead.ledger.upkeep import Description, RowCount, TableRights, id_of

_GIVEN = sa.table("sqlite_sequence", sa.column("name", sa.String), sa.column("seq", sa.Integer))
_OF_TABLE = _GIVEN.c.name == sa.bindparam("table")
_LAST = sa.select(_GIVEN.c.seq).where(_OF_TABLE)


class SqliteUpkeep:
    """The upkeep of one file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def description(self, connection: sa.Connection) -> Description:  # noqa: ARG002 - the Protocol's
        """The library, and the size of the file with its log."""
        return Description(kind="sqlite", version=sqlite3.sqlite_version, size=self._size())

    def may_read(
        self,
        connection: sa.Connection,  # noqa: ARG002 - the Protocol's
        table: sa.Table,  # noqa: ARG002 - the Protocol's
    ) -> bool:
        """Who may read the file may read each table."""
        return True

    def rows(self, connection: sa.Connection, table: sa.Table) -> RowCount:
        """How many rows a table has."""
        counted = connection.execute(sa.select(sa.func.count()).select_from(table))
        return RowCount(rows=int(counted.scalar_one()))

    def last_id(self, connection: sa.Connection, table: sa.Table) -> int:
        """The highest id of the table, or that it ever had where SQLite remembers it."""
        column = id_of(table)
        assert column is not None
        highest = connection.execute(sa.select(sa.func.max(column))).scalar_one() or 0
        given = 0
        if _remembers(table):
            given = connection.execute(_LAST, {"table": table.name}).scalar_one_or_none() or 0
        return max(int(highest), int(given))

    def continue_after(self, connection: sa.Connection, table: sa.Table, last: int) -> None:
        """Where SQLite remembers ids; elsewhere it goes on after the highest that is there."""
        if not _remembers(table):
            return
        connection.execute(_GIVEN.delete().where(_OF_TABLE), {"table": table.name})
        connection.execute(_GIVEN.insert(), {"name": table.name, "seq": last})

    def check_role(self, role: str) -> NoReturn:
        """SQLite has no roles."""
        raise Invalid(
            f"ledger {str(self._file)!r}: SQLite has no role {role!r}; the permissions of the file "
            "and its folder say who may read and write it (chmod)"
        )

    def grants(
        self,
        connection: sa.Connection,  # noqa: ARG002 - the Protocol's
        role: str,
        rights: Sequence[TableRights],  # noqa: ARG002 - the Protocol's
    ) -> Sequence[str]:
        """SQLite has no roles."""
        self.check_role(role)

    def view_grants(
        self,
        connection: sa.Connection,  # noqa: ARG002 - the Protocol's
        role: str,
        view: str,  # noqa: ARG002 - the Protocol's
        query: str,  # noqa: ARG002 - the Protocol's
    ) -> Sequence[str]:
        """SQLite has no roles."""
        self.check_role(role)

    def keep_role(
        self,
        connection: sa.Connection,  # noqa: ARG002 - the Protocol's
        role: str,
        password: str,  # noqa: ARG002 - the Protocol's
    ) -> None:
        """SQLite has no roles."""
        self.check_role(role)

    def _size(self) -> int:
        log = self._file.with_name(f"{self._file.name}-wal")
        return sum(path.stat().st_size for path in (self._file, log) if path.exists())


def _remembers(table: sa.Table) -> bool:
    """Whether ids of deleted rows are not given again (AUTOINCREMENT)."""
    return bool(table.dialect_kwargs.get("sqlite_autoincrement"))
