"""What the upkeep of a ledger asks of its database: status, the ids that come next, and rights.

Each database has an object that keeps the Protocol. Its functions are given the connection of a
transaction, as everything is that reads or writes a ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa


@dataclass(frozen=True, kw_only=True)
class Connections:
    """Connections of a server: `most` for everybody, and how many of them are `free` for a role
    without privileges.
    """

    most: int
    used: int
    free: int


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a database is, whatever it holds.

    Args:
        kind: "sqlite" or "postgresql".
        version: Of the library or the server.
        size: Bytes that the ledger takes.
        role: Who is connected, where the database knows that.
        connections: Of the server, where there is one.
    """

    kind: str
    version: str
    size: int
    role: str | None = None
    connections: Connections | None = None


@dataclass(frozen=True, kw_only=True)
class RowCount:
    """How many rows a table has; an estimate where counting would take long."""

    rows: int
    estimated: bool = False


@dataclass(frozen=True, kw_only=True)
class TableRights:
    """What a role may do with a table.

    Args:
        table: The table.
        insert: Whether it may add rows.
        update: The columns that it may change.
        delete: Whether it may delete rows.
        ids: Whether the ids of its rows are given by the database.
    """

    table: str
    insert: bool = False
    update: tuple[str, ...] = ()
    delete: bool = False
    ids: bool = False


class Upkeep(Protocol):
    """What differs between databases when a ledger is looked after."""

    def description(self, connection: sa.Connection) -> Description:
        """What the database is."""
        ...

    def may_read(self, connection: sa.Connection, table: sa.Table) -> bool:
        """Whether whoever is connected may read the table."""
        ...

    def rows(self, connection: sa.Connection, table: sa.Table) -> RowCount:
        """How many rows a table has."""
        ...

    def last_id(self, connection: sa.Connection, table: sa.Table) -> int:
        """An id at least as high as any that the database gave to a row of the table; 0 for none.

        The row may be gone by now.
        """
        ...

    def continue_after(self, connection: sa.Connection, table: sa.Table, last: int) -> None:
        """Have the ids of new rows begin above `last`, which no id in the table exceeds."""
        ...

    def check_role(self, role: str) -> None:
        """Raise Invalid where the database has no roles, or none can have this name."""
        ...

    def grants(
        self, connection: sa.Connection, role: str, rights: Sequence[TableRights]
    ) -> Sequence[str]:
        """The statements that give a role these rights, and with them that of reading the tables.

        Raises:
            Invalid: As for `check_role`.
        """
        ...

    def view_grants(
        self, connection: sa.Connection, role: str, view: str, query: str
    ) -> Sequence[str]:
        """The statements that make a view and let a role read it, and nothing else.

        Raises:
            Invalid: As for `check_role`.
        """
        ...

    def keep_role(self, connection: sa.Connection, role: str, password: str) -> None:
        """Have the role, with this password.

        Raises:
            Invalid: As for `check_role`.
        """
        ...


def id_of(table: sa.Table) -> sa.Column[int] | None:
    """The column whose values the database gives, in a table that has one."""
    column: sa.Column[int] | None = table.autoincrement_column
    return column
