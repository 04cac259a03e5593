"""The database behind the ledger: transactions, waiting, the clock, and what can go wrong.

Belongs here: everything in which SQLite differs from another database. Does not: tables and
statements, which are the same for all of them.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from fairlead.errors import Busy, Corrupt, Failed, FairleadError, Invalid
from fairlead.ledger.write_fairness import turn, waits

Row: TypeAlias = sa.Row[*tuple[Any, ...]]

PATIENCE = 60.0  # seconds that a transaction waits to be let in
_READING = ("BEGIN", "PRAGMA schema_version")  # the second one takes the snapshot
_LASTING = ("PRAGMA synchronous = FULL", "BEGIN IMMEDIATE")
_PASSING = ("PRAGMA synchronous = NORMAL", "BEGIN IMMEDIATE")
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_NO_TURN = nullcontext()
_FAULTS: dict[int, tuple[type[FairleadError], str]] = {
    sqlite3.SQLITE_FULL: (Failed, "the disk is full; free some space and run the command again"),
    sqlite3.SQLITE_IOERR: (Failed, "the disk is full or failing; see to it and run it again"),
    sqlite3.SQLITE_CANTOPEN: (Invalid, "it cannot be opened; is its folder there and writable?"),
    sqlite3.SQLITE_READONLY: (Invalid, "it cannot be written; check who owns it and its folder"),
    sqlite3.SQLITE_NOTADB: (Invalid, "it is no SQLite file; choose another $FAIRLEAD_HOME"),
    sqlite3.SQLITE_CORRUPT: (Corrupt, "it is damaged; restore it from a backup"),
    sqlite3.SQLITE_BUSY: (Busy, "others are writing to it, or one was stopped in it; run it again"),
}


class Now(FunctionElement[float]):
    """The database's own clock, in seconds since the epoch."""

    type = sa.Double()
    inherit_cache = True


@compiles(Now, "sqlite")
def _sqlite_now(*_: Any, **__: Any) -> str:
    # unixepoch('subsec') came with SQLite 3.42, later than the oldest that Python 3.11 meets.
    return "((julianday('now') - 2440587.5) * 86400.0)"


_NOW = sa.select(Now())


def now(connection: sa.Connection) -> float:
    """The database's clock, read once."""
    return float(connection.execute(_NOW).scalar_one())


class Database:
    """One SQLite file.

    Safe to use from several threads; not to be carried over a fork.

    Args:
        file: The file; its folder must be there. SQLite keeps its log beside it, and there is a
            file there by which writers take turns.
        patience: Seconds that a transaction waits for others before it raises Busy.
    """

    def __init__(self, file: Path, *, patience: float = PATIENCE) -> None:
        self.file = file.absolute()
        self._patience = patience
        self._queue = self.file.with_name(f"{self.file.name}-turn")
        self._engine = _engine(self.file)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the ledger and blocks nobody."""
        with self._transaction(_READING) as connection:
            yield connection

    @contextmanager
    def write(
        self, *, lasting: bool = True, patience: float | None = None
    ) -> Iterator[sa.Connection]:
        """The one transaction that may write; committed at the end, or not at all.

        Args:
            lasting: Whether it must outlive a power cut once committed, at one fsync. Without, it
                outlives every death of processes, and a power cut may take it back whole.
            patience: Seconds to wait for others, where that is less than for all transactions.

        Raises:
            Busy: Others wrote for all of the `patience`.
            Failed: The disk is full or failing; nothing was written.
        """
        beginning = _LASTING if lasting else _PASSING
        after = turn(self._queue)
        with self._transaction(beginning, after=after, patience=patience) as connection:
            yield connection
            connection.commit()

    def keep_log_ahead(self) -> None:
        """Let readers and the writer pass each other (SQLite's WAL); the file remembers it.

        Raises:
            Failed: The file system cannot do it.
        """
        # Not a transaction at all: SQLite changes this mode only outside of one.
        with self._transaction(("PRAGMA journal_mode = WAL",)) as connection:
            mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
        if mode != "wal":
            raise Failed(
                f"ledger {str(self.file)!r}: its file system cannot share memory between "
                "processes; point $FAIRLEAD_HOME at a local disk"
            )

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @contextmanager
    def _transaction(
        self,
        beginning: Sequence[str],
        *,
        after: AbstractContextManager[None] = _NO_TURN,
        patience: float | None = None,
    ) -> Iterator[sa.Connection]:
        try:
            with after:
                begun = self._begun(beginning, self._patience if patience is None else patience)
            with begun as connection:
                yield connection
        except sa.exc.DatabaseError as error:
            raise self._spoken(error) from error

    def _begun(self, beginning: Sequence[str], patience: float) -> sa.Connection:
        """Only the beginning can meet another writer; what follows has the lock or a snapshot."""
        until = time.monotonic() + min(patience, self._patience)
        for wait in waits():
            try:
                return _begin(self._engine, beginning)
            except sa.exc.OperationalError as error:
                if _code(error) not in _BUSY or time.monotonic() > until:
                    raise
            time.sleep(wait)
        raise AssertionError("waits never end")

    def _spoken(self, error: sa.exc.DatabaseError) -> Exception:
        kind, advice = _FAULTS.get(_code(error), (None, ""))
        return kind(f"ledger {str(self.file)!r}: {advice} ({error.orig})") if kind else error


def _engine(file: Path) -> sa.Engine:
    # The driver's busy handler (timeout) can starve one of two writers, and its own idea of when
    # to BEGIN knows no IMMEDIATE: both are off.
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(file)),
        connect_args={"timeout": 0, "isolation_level": None},
    )
    sa.event.listen(engine, "connect", _prepare)
    return engine


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(engine: sa.Engine, beginning: Sequence[str]) -> sa.Connection:
    # Not through SQLAlchemy's "begin" event: with a listener, each statement costs a third more.
    connection = engine.connect()
    try:
        for statement in beginning:
            connection.exec_driver_sql(statement)
    except BaseException:
        connection.close()
        raise
    return connection


def _code(error: sa.exc.DatabaseError) -> int:
    return int(getattr(error.orig, "sqlite_errorcode", 0)) & 0xFF
