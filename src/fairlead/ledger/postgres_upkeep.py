"""The upkeep of a ledger on a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from fairlead.errors import Invalid
from fairlead.ledger.upkeep import Connections, Description, RowCount, TableRights, id_of

if TYPE_CHECKING:
    import psycopg

_MANY = 100_000  # rows that are estimated, not counted
_LONGEST_NAME = 63  # bytes; PostgreSQL cuts longer ones without a word
_EVERYBODY = {"public", "none"}  # no names of roles, quoted or not
_OWN = "fairlead_sessions"  # see postgres.py
_REVISION = "alembic_version"

_SERVER = sa.text(
    "SELECT current_setting('server_version') AS version, current_user AS role,"
    " current_setting('max_connections')::int AS most,"
    " current_setting('superuser_reserved_connections')::int"
    " + coalesce(current_setting('reserved_connections', true), '0')::int AS reserved,"
    # pg_stat_activity would not say of others' sessions whether they are clients.
    " (SELECT sum(numbackends) FROM pg_stat_database)::int AS used"
)
_SIZE = sa.text(
    "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class"
    " WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
)
_ESTIMATE = sa.text("SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(:table)")
_MAY_READ = sa.text("SELECT has_table_privilege(:table, 'SELECT')")
_SEQUENCE = sa.text("SELECT pg_get_serial_sequence(:table, :column)")
_CONTINUE = sa.text("SELECT setval(:sequence, :last, :given)")
_ROLE = sa.text("SELECT 1 FROM pg_roles WHERE rolname = :role")
_HERE = sa.text("SELECT current_database() AS database, current_schema() AS schema")


class PostgresUpkeep:
    """The upkeep of one database."""

    def description(self, connection: sa.Connection) -> Description:
        """The server, who is connected to it, and the size of what is in the ledger's schema."""
        server = connection.execute(_SERVER).one()
        connections = Connections(
            most=server.most,
            used=server.used,
            free=max(0, server.most - server.reserved - server.used),
        )
        return Description(
            kind="postgresql",
            version=server.version,
            size=int(connection.execute(_SIZE).scalar_one()),
            role=server.role,
            connections=connections,
        )

    def may_read(self, connection: sa.Connection, table: sa.Table) -> bool:
        """Whether the role may: that of a worker has no right to what workers have no need of."""
        said = connection.execute(_MAY_READ, {"table": _quoted(table.name)})
        return bool(said.scalar_one())

    def rows(self, connection: sa.Connection, table: sa.Table) -> RowCount:
        """How many rows a table has: as the server last estimated it, where these are many."""
        estimate = connection.execute(_ESTIMATE, {"table": table.name}).scalar_one_or_none() or 0
        if estimate > _MANY:
            return RowCount(rows=estimate, estimated=True)
        counted = connection.execute(sa.select(sa.func.count()).select_from(table))
        return RowCount(rows=int(counted.scalar_one()))

    def last_id(self, connection: sa.Connection, table: sa.Table) -> int:
        """The highest id of the table, or that its sequence ever gave."""
        column = id_of(table)
        assert column is not None
        highest = connection.execute(sa.select(sa.func.max(column))).scalar_one() or 0
        # Its name comes quoted from the server.
        position = connection.exec_driver_sql(
            f"SELECT last_value, is_called FROM {_sequence(connection, table, column)}"  # noqa: S608 - see above
        ).one()
        return max(int(highest), int(position.last_value) if position.is_called else 0)

    def continue_after(self, connection: sa.Connection, table: sa.Table, last: int) -> None:
        """Set the table's sequence."""
        column = id_of(table)
        assert column is not None
        sequence = _sequence(connection, table, column)
        said = {"sequence": sequence, "last": max(last, 1), "given": last > 0}
        connection.execute(_CONTINUE, said)

    def check_role(self, role: str) -> None:
        """Refuse what PostgreSQL would take for everybody, or cut."""
        if (
            not role.isprintable()
            or not 0 < len(role.encode()) <= _LONGEST_NAME
            or role.lower() in _EVERYBODY
        ):
            raise Invalid(f"role {role!r}: no role can have this name; name one that is there")

    def grants(
        self, connection: sa.Connection, role: str, rights: Sequence[TableRights]
    ) -> Sequence[str]:
        """The statements, for the database and the schema that the connection is in."""
        self.check_role(role)
        to = f"TO {_quoted(role)};"
        here = connection.execute(_HERE).one()
        schema = _quoted(here.schema)
        writes = any(each.insert or each.update or each.delete for each in rights)
        readable = ", ".join(f"{schema}.{_quoted(each.table)}" for each in rights)
        return (
            f"GRANT CONNECT ON DATABASE {_quoted(here.database)} {to}",
            f"GRANT USAGE ON SCHEMA {schema} {to}",
            f"GRANT SELECT ON {schema}.{_quoted(_REVISION)}, {readable} {to}",
            *(
                f"GRANT {', '.join(changes)} ON {schema}.{_quoted(each.table)} {to}"
                for each in rights
                if (changes := list(_changes(each)))
            ),
            *(
                f"GRANT USAGE ON SEQUENCE {name} {to}"
                for name in _sequences(connection, rights, schema)
            ),
            *(
                [f"GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.{_quoted(_OWN)} {to}"]
                if writes
                else []
            ),
        )

    def view_grants(
        self, connection: sa.Connection, role: str, view: str, query: str
    ) -> Sequence[str]:
        """The statements; whoever reads the view reads as its owner, and sees no table."""
        self.check_role(role)
        to = f"TO {_quoted(role)};"
        here = connection.execute(_HERE).one()
        name = f"{_quoted(here.schema)}.{_quoted(view)}"
        return (
            f"CREATE OR REPLACE VIEW {name} AS {query};",
            f"GRANT CONNECT ON DATABASE {_quoted(here.database)} {to}",
            f"GRANT USAGE ON SCHEMA {_quoted(here.schema)} {to}",
            f"GRANT SELECT ON {name} {to}",
        )

    def keep_role(self, connection: sa.Connection, role: str, password: str) -> None:
        """Make the role or give it the password, of which the server learns a verifier alone."""
        self.check_role(role)
        there = connection.execute(_ROLE, {"role": role}).first() is not None
        driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
        secret = driver.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
        change = "ALTER" if there else "CREATE"
        connection.exec_driver_sql(
            f"{change} ROLE {_quoted(role)} LOGIN PASSWORD '{secret.decode('ascii')}'"
        )


def _changes(rights: TableRights) -> Iterator[str]:
    if rights.insert:
        yield "INSERT"
    if rights.update:
        yield f"UPDATE ({', '.join(map(_quoted, rights.update))})"
    if rights.delete:
        yield "DELETE"


def _sequences(
    connection: sa.Connection, rights: Sequence[TableRights], schema: str
) -> Iterator[str]:
    for each in rights:
        if each.insert and each.ids:
            owner = f"{schema}.{_quoted(each.table)}"
            columns = sa.inspect(connection).get_pk_constraint(each.table)["constrained_columns"]
            found = connection.execute(_SEQUENCE, {"table": owner, "column": columns[0]})
            yield str(found.scalar_one())


def _sequence(connection: sa.Connection, table: sa.Table, column: sa.Column[int]) -> str:
    """The sequence's name, quoted where it must be."""
    names = {"table": _quoted(table.name), "column": column.name}
    return str(connection.execute(_SEQUENCE, names).scalar_one())


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
