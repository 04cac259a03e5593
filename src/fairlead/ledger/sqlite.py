"""The ledger's database as one SQLite file: everything in which SQLite differs from another.

A write transaction begins with BEGIN IMMEDIATE, so there is one at a time and a named lock has
nothing to add. A read takes its snapshot at the beginning and blocks nobody (SQLite's WAL).

SQLite gives its lock to whoever asks first once it is free. That is mostly the one that has just
let go of it, since the others are asleep between two tries; on a busy machine they starved for
seconds. So only the one that has the turn (a lock on a file beside the ledger) tries, all others
try for the turn, and the one that has just written is one of these.

A file without tables is new, unless artefacts lie beside it: these are made only after the tables,
so something emptied the file since (a full disk, a failed copy, a copy without its log, a hand).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from fairlead.backoff import Backoff
from fairlead.errors import Busy, Corrupt, DiskFull, Failed, FairleadError, Invalid
from fairlead.ledger.database import HOME, PATIENCE, NextWriter, Now, OldestWriter, Value
from fairlead.ledger.sqlite_upkeep import SqliteUpkeep

_READING = ("BEGIN", "PRAGMA schema_version")  # the second one takes the snapshot
_DURABLE = ("PRAGMA synchronous = FULL", "BEGIN IMMEDIATE")
_VOLATILE = ("PRAGMA synchronous = NORMAL", "BEGIN IMMEDIATE")
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_HEADER = 100  # bytes; SQLite takes some shorter files for new ones
_SHORTEST_WAIT = 0.0003  # seconds, about one commit
_LONGEST_WAIT = 0.005
_SOON = 0.05
_LONGEST_TURN = 0.5
_FAULTS: dict[int, tuple[type[FairleadError], str]] = {
    sqlite3.SQLITE_FULL: (DiskFull, "the disk is full; free some space and run the command again"),
    sqlite3.SQLITE_IOERR: (Failed, "the disk is full or failing; see to it and run it again"),
    sqlite3.SQLITE_CANTOPEN: (Invalid, "it cannot be opened; is its folder there and writable?"),
    sqlite3.SQLITE_READONLY: (Invalid, "it cannot be written; check who owns it and its folder"),
    sqlite3.SQLITE_NOTADB: (Invalid, "it is no SQLite file; choose another {setting}"),
    sqlite3.SQLITE_CORRUPT: (Corrupt, "it is damaged; restore it from a backup"),
    sqlite3.SQLITE_BUSY: (Busy, "others are writing to it, or one was stopped in it; run it again"),
}


@compiles(Now, "sqlite")
def _now(*_: Any, **__: Any) -> str:
    # unixepoch('subsec') came with SQLite 3.42, later than the oldest that Python 3.11 meets.
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(NextWriter, "sqlite")
def _next_writer(*_: Any, **__: Any) -> str:
    return "0"  # one writes at a time: what is seen has no predecessor that is yet to come


@compiles(OldestWriter, "sqlite")
def _oldest_writer(*_: Any, **__: Any) -> str:
    return "1"


def open_database(
    location: Path | str,
    *,
    patience: float = PATIENCE,
    setting: str = HOME,
    restoring: bool = False,
) -> SqliteDatabase:
    """The database of a file, whose folder is made if need be.

    Args:
        location: A file, or a URL such as sqlite:////srv/fairlead/ledger.db.
        patience: Seconds that a transaction waits for others before it raises Busy.
        setting: What named the location, for advice.
        restoring: Whether a ledger is about to be put there: artefacts may lie beside it then.

    Raises:
        Invalid: The location is no file, or its folder cannot be made.
        Corrupt: It was a ledger and has been emptied.
    """
    file = _file(location)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid(f"ledger {str(file)!r}: its folder cannot be made: {error}") from error
    refuse_emptied(file, restoring=restoring)
    return SqliteDatabase(file, patience=patience, setting=setting)


def exists(location: Path | str) -> bool:
    """Whether there is a file."""
    return _file(location).exists()


class SqliteDatabase:
    """One SQLite file.

    Args:
        file: The file; its folder must be there. SQLite keeps its log beside it, and there is a
            file there by which writers take turns.
        patience: Seconds that a transaction waits for others before it raises Busy.
        setting: What named the file, for advice.
    """

    upgrades_on_opening = True

    def __init__(self, file: Path, *, patience: float = PATIENCE, setting: str = HOME) -> None:
        self.setting = setting
        self.file = file.absolute()
        self.name = str(self.file)
        self.upkeep = SqliteUpkeep(self.file)
        self._patience = patience
        self._queue = self.file.with_name(f"{self.file.name}-turn")
        self._engine = _engine(self.file)

    def refuse_emptied(self) -> None:
        """Raise Corrupt where artefacts beside the file show that it had tables."""
        _refuse_beside(_artifacts(self.file), self.file)

    def prepare(self) -> None:
        """Let readers and the writer pass each other (SQLite's WAL); the file remembers it.

        Raises:
            Failed: The file system cannot do it.
        """
        # Not in a transaction at all: SQLite changes this mode only outside of one.
        mode = self._run(("PRAGMA journal_mode = WAL",), _journal_mode, self._patience)
        if mode != "wal":
            raise Failed(
                f"ledger {self.name!r}: its file system cannot share memory between processes; "
                f"point {self.setting} at a local disk"
            )

    def read(self, query: Callable[[sa.Connection], Value]) -> Value:
        """Run a function that reads one state of the ledger and blocks nobody."""
        return self._run(_READING, query, self._patience)

    def write(
        self,
        change: Callable[[sa.Connection], Value],
        *,
        lock: str | None = None,  # noqa: ARG002 - one transaction writes at a time
        durable: bool = True,
        patience: float | None = None,
    ) -> Value:
        """Run a function as the one transaction that may write, and commit it."""
        longest = self._patience if patience is None else min(patience, self._patience)
        return self._run(_DURABLE if durable else _VOLATILE, change, longest, writing=True)

    def tell(self, connection: sa.Connection, study: str) -> None:
        """Nobody: SQLite has no way to."""

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _run(
        self,
        beginning: Sequence[str],
        work: Callable[[sa.Connection], Value],
        patience: float,
        *,
        writing: bool = False,
    ) -> Value:
        """Run the work in a transaction, again where SQLite is busy with those of others."""
        backoff = Backoff(patience, _longest_wait)
        while True:
            try:
                with self._begun(beginning, patience, writing=writing) as connection:
                    value = work(connection)
                    if writing:
                        self._commit(connection)
                    return value
            except sa.exc.DatabaseError as error:
                if not _is_busy(error) or not backoff.wait():
                    raise self._explained(error) from error

    def _begun(self, beginning: Sequence[str], patience: float, *, writing: bool) -> sa.Connection:
        if not writing:
            return self._begin(beginning, patience)
        with turn(self._queue):
            return self._begin(beginning, patience)

    def _begin(self, beginning: Sequence[str], patience: float) -> sa.Connection:
        """Mostly it is the beginning that meets others: what follows has the lock or a snapshot."""
        backoff = Backoff(patience, _longest_wait)
        while True:
            try:
                return _begin(self._engine, beginning)
            except sa.exc.OperationalError as error:
                if not _is_busy(error) or not backoff.wait():
                    raise

    def _commit(self, connection: sa.Connection) -> None:
        connection.commit()

    def _explained(self, error: sa.exc.DatabaseError) -> Exception:
        kind, advice = _FAULTS.get(_code(error), (None, ""))
        advised = advice.format(setting=self.setting)
        return kind(f"ledger {self.name!r}: {advised} ({error.orig})") if kind else error


def refuse_emptied(file: Path, *, restoring: bool = False) -> None:
    """Refuse an empty file, or none, beside what only a ledger leaves.

    Before SQLite opens it: SQLite deletes the log beside an empty file, and the log may hold
    everything. It makes one only once the file has its first page.

    Args:
        file: The ledger's.
        restoring: Whether artefacts beside it are no fault; a log always is.

    Raises:
        Corrupt: It was a ledger and has been emptied.
        Invalid: What is beside it cannot be read.
    """
    log = file.with_name(f"{file.name}-wal")
    logged = log if log.exists() and log.stat().st_size else None
    left = (
        None if restoring else _artifacts(file)
    ) or logged  # looked for first: others may be making file and artefacts
    if not file.exists() or file.stat().st_size < _HEADER:
        _refuse_beside(left, file)


@contextmanager
def turn(file: Path) -> Iterator[None]:
    """Have the turn, or have waited long enough to go without.

    The turn is a courtesy: a process that was stopped while it had it must not hold up the others,
    and where the file cannot be made SQLite itself will say what is wrong.

    Args:
        file: What is locked; made if it is not there. The kernel unlocks it when a process dies.
    """
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        yield
        return
    try:
        _wait_for(handle)
        yield
    finally:
        os.close(handle)


def _longest_wait(_tries: int, waited: float) -> float:
    """Short at first, since a commit is short; then longer, since many may wait; and shorter again
    for who has waited long, since who tries more often begins sooner.
    """
    if waited < _SOON:
        return min(_SHORTEST_WAIT + waited, _LONGEST_WAIT)
    return max(_LONGEST_WAIT * _SOON / waited, _SHORTEST_WAIT)


def _wait_for(handle: int) -> None:
    backoff = Backoff(_LONGEST_TURN, _longest_wait)
    while not _locked(handle) and backoff.wait():
        pass


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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


def _journal_mode(connection: sa.Connection) -> str:
    return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())


def _is_busy(error: sa.exc.DatabaseError) -> bool:
    return _code(error) in _BUSY


def _code(error: sa.exc.DatabaseError) -> int:
    return int(getattr(error.orig, "sqlite_errorcode", 0)) & 0xFF


def _file(location: Path | str) -> Path:
    if isinstance(location, Path) or (location and "://" not in location):
        return Path(location)
    scheme, _, file = location.partition(":///")
    if scheme != "sqlite" or not file:
        raise Invalid(f"ledger {location!r}: it must be a file, or a URL like sqlite:///FILE")
    return Path(file)


def _artifacts(file: Path) -> Path | None:
    """The folder of the artefacts beside the ledger, if there are any."""
    folder = file.with_name("artifacts")
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
