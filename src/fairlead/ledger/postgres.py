"""The ledger's database on a PostgreSQL server: everything in which PostgreSQL differs.

Transactions read what is committed, and wait for the rows and the named locks that others hold. A
deadlock, a serialization failure, or a server that went away makes a transaction run again.

A connection that is lost during COMMIT leaves open whether it came about. So each durable write
also writes its number in the row of its connection (`fairlead_sessions`): whoever lost one looks
the number up once the old transaction is over. A claim or a heartbeat, which need not last, is run
again: what it wrote is fenced, and ends with its lease.

A durable write lets go of its locks before the disk has it (docs/decisions/0024).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from fairlead.backoff import Backoff, doubled
from fairlead.errors import Busy, DiskFull, Failed, FairleadError, Invalid, NextStep, Unreachable
from fairlead.formatting import without_password
from fairlead.ledger.database import (
    HOME,
    PATIENCE,
    SCHEMA_LOCK,
    NextWriter,
    Now,
    OldestWriter,
    Value,
)
from fairlead.ledger.postgres_upkeep import PostgresUpkeep
from fairlead.queue.postgres import NEWS

_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED"
# Ends the transaction, which does not wait for the disk, and then waits for it with one that only
# writes a record into the log, behind all that was committed before.
_COMMIT = "COMMIT; SELECT pg_logical_emit_message(true, 'fairlead', '')"
_TELL = sa.select(sa.func.pg_notify(sa.bindparam("channel"), sa.bindparam("study")))
_CONNECT = 10  # seconds that a connection may take
_CONNECTIONS = 4  # of a process that are kept open; more come and go
_MORE = 12
_SILENT = 20  # seconds that a client may be silent in a transaction, before the server ends that
_SILENT_IN_A_WRITE = 5  # the same where others wait for its rows: less than a lease
_SILENT_IN_A_READ = 300  # nobody waits for it; a million trials take a while to be taken in
_WAIT = doubled(0.002, 1.0)
_AGAIN = {"40001", "40P01"}  # a serialization failure, a deadlock
_AWAY = {  # the server went away, is starting, or has no room for a connection
    *("08000", "08001", "08003", "08004", "08006", "25P03"),
    *("53300", "57P01", "57P02", "57P03", "57P05"),
}
_TIMEOUT = "idle_in_transaction_session_timeout"
_LOCKED = "55P03"
_FAULTS: dict[str, tuple[type[FairleadError], str]] = {
    _LOCKED: (Busy, "others hold what this writes; run it again"),
    "53100": (DiskFull, "the server's disk is full; free some space and run the command again"),
    "53200": (Failed, "the server has no memory left; see to it and run it again"),
    "28000": (Invalid, "the server lets this user not in; see {setting}"),
    "28P01": (Invalid, "the server refuses the password; see {setting}"),
    "3D000": (Invalid, "there is no such database; create it, or choose another {setting}"),
    "3F000": (Invalid, "there is no such schema; create it, or choose another {setting}"),
    "42501": (Invalid, "the role lacks a right"),
    "25006": (Invalid, "the server takes no writes; name the primary in {setting}"),
}
_STEPS = {
    "42501": NextStep(
        action="ledger.grants", arguments={"role": None}, effect="prints those that it needs"
    )
}


@compiles(Now, "postgresql")
def _now(*_: Any, **__: Any) -> str:
    return "extract(epoch from clock_timestamp())::double precision"


@compiles(NextWriter, "postgresql")
def _next_writer(*_: Any, **__: Any) -> str:
    # The snapshot's xmax will not do: a transaction above it may have taken a lower event's id.
    return "pg_current_xact_id()::text::bigint"


@compiles(OldestWriter, "postgresql")
def _oldest_writer(*_: Any, **__: Any) -> str:
    return "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"


def open_database(
    location: Path | str,
    *,
    patience: float = PATIENCE,
    setting: str = HOME,
    restoring: bool = False,  # noqa: ARG001 - nothing beside a database shows what was in it
) -> PostgresDatabase:
    """The database that a URL names: postgresql://user:password@host:5432/database.

    Parameters of libpq may follow (?sslmode=verify-full&sslrootcert=ca.pem). Without a password in
    it, libpq looks for one in $PGPASSWORD, $PGPASSFILE and ~/.pgpass.

    Args:
        location: The URL.
        patience: Seconds that a transaction waits for others, and for the server, before it fails.
        setting: What named the location, for advice.
        restoring: Whether a ledger is about to be put there.

    Raises:
        Invalid: It is no URL of a database, the driver is not installed, or the server lets nobody
            in with it.
        Unreachable: No server answers.
    """
    database = PostgresDatabase(_url(str(location)), patience=patience, setting=setting)
    database.connect()
    return database


def exists(location: Path | str) -> bool:
    """Whether a server can be asked; who asks it is told what is wrong."""
    _url(str(location))
    return True


class PostgresDatabase:
    """One database of a PostgreSQL server.

    Args:
        url: Of the database.
        patience: Seconds that a transaction waits for others, and for the server, before it fails.
        setting: What named the URL, for advice.
    """

    upgrades_on_opening = False

    def __init__(self, url: sa.URL, *, patience: float = PATIENCE, setting: str = HOME) -> None:
        self.setting = setting
        self.upkeep = PostgresUpkeep()
        self.name = _shown(url)
        self._patience = patience
        self._engine = _engine(url, patience)

    def connect(self) -> None:
        """Connect for the first time: a server that does not answer by then is not waited for.

        Raises:
            Invalid: The server lets nobody in with this URL.
            Unreachable: No server answers.
        """
        try:
            self._engine.connect().close()
        except sa.exc.DBAPIError as error:
            self.close()
            raise self._explained(error) from error

    def refuse_emptied(self) -> None:
        """A server keeps its files; nothing beside them shows what was in them."""

    def prepare(self) -> None:
        """Make the table of the connections' numbers, which every durable write needs."""
        if self.read(_is_prepared):
            return
        self.write(
            lambda connection: connection.exec_driver_sql(_SESSIONS), lock="sessions", durable=False
        )

    def read(self, query: Callable[[sa.Connection], Value]) -> Value:
        """Run a function that reads one state of the ledger and blocks nobody."""

        def read() -> Value:
            with self._engine.connect() as connection:
                connection.exec_driver_sql(_READ + _silence(connection, _SILENT_IN_A_READ))
                return query(connection)

        return self._repeated(read, self._patience)

    def write(
        self,
        change: Callable[[sa.Connection], Value],
        *,
        lock: str | None = None,
        durable: bool = True,
        patience: float | None = None,
    ) -> Value:
        """Run a function in a transaction that holds the lock, and commit it."""
        longest = self._patience if patience is None else min(patience, self._patience)

        def write() -> Value:
            with self._engine.connect() as connection:
                mark = _Mark.next(connection) if durable else None
                # A copy or a migration alone may take its time.
                silence = _silence(connection, _SILENT_IN_A_WRITE) if lock != SCHEMA_LOCK else ""
                connection.exec_driver_sql(_beginning(longest, lock, mark) + silence)
                value = change(connection)
                self._commit(connection, mark, longest)
                return value

        return self._repeated(write, longest)

    def tell(self, connection: sa.Connection, study: str) -> None:
        """Notify who listens for news of runs; see queue/postgres.py."""
        connection.execute(_TELL, {"channel": NEWS, "study": study})

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _repeated(self, work: Callable[[], Value], patience: float) -> Value:
        """The work's value; run again where the database asks for it, while there is patience."""
        backoff = Backoff(patience, _WAIT)
        while True:
            try:
                return work()
            except sa.exc.TimeoutError as error:  # every connection of this process is in use
                raise Busy(f"ledger {self.name!r}: {error}") from error
            except sa.exc.DBAPIError as error:
                if not (_is_to_repeat(error) and backoff.wait()):
                    raise self._explained(error) from error

    def _commit(self, connection: sa.Connection, mark: _Mark | None, patience: float) -> None:
        try:
            connection.exec_driver_sql("COMMIT" if mark is None else _COMMIT)
        except sa.exc.DBAPIError as error:
            if mark is None or not _is_away(error):
                raise
            if not self._has_come_about(mark, patience):
                raise

    def _has_come_about(self, mark: _Mark, patience: float) -> bool:
        """Whether the write of this mark was committed, once its transaction is over."""

        def look() -> bool:
            with self._engine.connect() as connection:
                connection.exec_driver_sql(_beginning(patience))
                last = connection.execute(_LAST, {"session": mark.session}).scalar_one()
                connection.exec_driver_sql(_COMMIT)  # what it saw is on the disk
                return bool(last >= mark.number)

        try:
            return self._repeated(look, self._patience)
        except FairleadError as error:
            raise Unreachable(
                f"{error}; it went away during a commit: whether that came about is not known, so "
                "look before you ask for it again"
            ) from error

    def _explained(self, error: sa.exc.DBAPIError) -> Exception:
        code, why = _code(error), _first_line(error.orig)
        kind, advice = _FAULTS.get(code, (None, ""))
        if kind is not None:
            text = f"ledger {self.name!r}: {advice.format(setting=self.setting)} ({why})"
            return kind(text, next_steps=[_STEPS[code]] if code in _STEPS else ())
        if _is_away(error):
            return Unreachable(
                f"ledger {self.name!r}: no connection to the server: {why}; see that it runs, and "
                f"that {self.setting} is right"
            )
        return error


class _Mark:
    """The number of a durable write of one connection.

    Args:
        session: Names the connection.
        number: From 1, rising.
    """

    def __init__(self, session: str, number: int) -> None:
        self.session = session
        self.number = number

    @classmethod
    def next(cls, connection: sa.Connection) -> _Mark:
        """The mark of the next durable write of this connection."""
        known = connection.info
        known["session"] = known.get("session") or uuid.uuid4().hex
        known["writes"] = known.get("writes", 0) + 1
        return cls(known["session"], known["writes"])


# Its name says whose it is: other programs have tables of sessions.
_SESSIONS = """
CREATE TABLE IF NOT EXISTS fairlead_sessions (
    id VARCHAR NOT NULL CONSTRAINT fairlead_sessions_pk PRIMARY KEY,
    writes BIGINT NOT NULL,
    since TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 50)
"""
_INSERT = "INSERT INTO fairlead_sessions VALUES"
# Waits for the end of a transaction that writes the row; where there is none, none was committed.
_LAST = sa.text(
    f"{_INSERT} (:session, 0, now()) ON CONFLICT (id) DO UPDATE SET writes = "
    "fairlead_sessions.writes RETURNING writes"
)


def _is_prepared(connection: sa.Connection) -> bool:
    found = connection.exec_driver_sql("SELECT to_regclass('fairlead_sessions')")
    return found.scalar_one() is not None


def _beginning(patience: float, lock: str | None = None, mark: _Mark | None = None) -> str:
    """What comes before a change, in one message to the server."""
    said = [_WRITE, f"SET LOCAL lock_timeout = {max(1, int(1000 * patience))}"]
    if lock is not None:
        said.append(f"SELECT pg_advisory_xact_lock({_key(lock)})")
    said.append("SET LOCAL synchronous_commit = off")
    if mark is not None:
        said.append(
            f"{_INSERT} ('{mark.session}', {mark.number}, now()) "
            "ON CONFLICT (id) DO UPDATE SET writes = excluded.writes"
        )
    if mark is not None and mark.number == 1:
        said.append("DELETE FROM fairlead_sessions WHERE since < now() - interval '7 days'")
    return "; ".join(said)


def _silence(connection: sa.Connection, seconds: int) -> str:
    """Has the server end the transaction after so many seconds, unless somebody chose a time."""
    return f"; SET LOCAL {_TIMEOUT} = '{seconds}s'" if connection.info["limited"] else ""


def _key(lock: str) -> int:
    """The number that PostgreSQL knows a named lock by."""
    digest = hashlib.blake2b(f"fairlead:{lock}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _url(text: str) -> sa.URL:
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise Invalid(f"ledger: the URL of its database cannot be read: {error}") from error
    if not url.database:
        raise Invalid(f"ledger {_shown(url)!r}: the URL names no database")
    return url.set(drivername="postgresql+psycopg")


def _shown(url: sa.URL) -> str:
    shown = url.set(drivername="postgresql").render_as_string(hide_password=True)
    return without_password(shown)  # a parameter may hold one as well


def _engine(url: sa.URL, patience: float) -> sa.Engine:
    """Transactions are begun by hand: SQLAlchemy's "begin" event costs a third of a statement."""
    try:
        engine = sa.create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            use_native_hstore=False,
            pool_size=_CONNECTIONS,
            max_overflow=_MORE,
            pool_timeout=patience,
            connect_args=_arguments(url),
        )
    except ImportError as error:
        raise Invalid(
            f"ledger {_shown(url)!r}: its driver is not installed: pip install "
            "'fairlead[postgresql]'"
        ) from error
    sa.event.listen(engine, "connect", _prepare)
    return engine


def _arguments(url: sa.URL) -> dict[str, object]:
    """What libpq is told where the URL does not say: to notice in time that a server is gone."""
    wanted: dict[str, object] = {
        "connect_timeout": _CONNECT,
        "application_name": "fairlead",
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,  # milliseconds
    }
    return {name: value for name, value in wanted.items() if name not in url.query}


def _prepare(connection: Any, record: Any) -> None:
    """Let the server end a transaction whose process was stopped or cut off in it.

    Where somebody has chosen a time for that, it is left as it is.

    A pooler such as PgBouncer tells a client another process number than the server's own, and may
    give each transaction another session of the server: a statement that was prepared in one would
    run under the name of somebody else's in the next. So none is prepared there.
    """
    process, limit = connection.execute(
        f"SELECT pg_backend_pid(), CASE WHEN current_setting('{_TIMEOUT}') = '0' THEN "
        f"set_config('{_TIMEOUT}', '{_SILENT}s', false) END"
    ).fetchone()
    record.info["limited"] = limit is not None
    if process != connection.info.backend_pid:
        connection.prepare_threshold = None


def _is_to_repeat(error: sa.exc.DBAPIError) -> bool:
    return _code(error) in _AGAIN or _is_away(error)


def _is_away(error: sa.exc.DBAPIError) -> bool:
    """Whether the server, or the connection to it, is no more; a refused connection has no code."""
    code = _code(error)
    if code:
        return code in _AWAY
    return isinstance(error, sa.exc.OperationalError) or error.connection_invalidated


def _code(error: sa.exc.DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


def _first_line(error: object) -> str:
    return " ".join(str(error).split("\n", 1)[0].split())[:300]
