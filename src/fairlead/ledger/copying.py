"""A ledger copied whole into another database, of the same kind or of another.

The rows are read in one snapshot and written in one transaction, table by table in the order of
their keys, as the database keeps them: texts are not read and written again, so that what an older
Fairlead wrote stays as it is. Before the commit every table of the copy is read back, and its rows
and their digest are held against what was read. So a copy is there whole or not at all.

Ids go on where the source would have gone on: a token of the copy is higher than any before.

A digest of a table is the sum of the SHA-256 of its rows, which no order changes: databases sort
texts differently.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import sqlalchemy as sa

from fairlead.errors import Failed, Invalid, NextStep, NotFound
from fairlead.ledger.database import SCHEMA_LOCK, Database, Row
from fairlead.ledger.schema import HEAD, metadata
from fairlead.ledger.status import live_leases, refuse_leases
from fairlead.ledger.store import (
    create_tables,
    exists,
    open_database,
    revision_of,
    standing,
)
from fairlead.ledger.upkeep import id_of

_BATCH = 1000  # rows in memory at once
_MODULUS = 1 << 256

OnProgress: TypeAlias = Callable[["Progress"], None]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a copy is: rows that are written (or, at the end, verified) of a table."""

    table: str
    rows: int
    verifying: bool = False


@dataclass(frozen=True, kw_only=True)
class TableCopy:
    """A table of a copy; `digest` is the same of every ledger that has these rows in it."""

    name: str
    rows: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class LedgerCopy:
    """What was copied; the names of the databases hold no password."""

    source: str
    target: str
    revision: str
    tables: tuple[TableCopy, ...]

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables)


def copy_ledger(
    source: Path | str, target: Path | str, *, live: bool = False, on_progress: OnProgress
) -> LedgerCopy:
    """Copy a ledger into an empty database.

    Args:
        source: The ledger: a file, or a URL.
        target: A database without tables, or with those of a ledger and no row in any.
        live: Whether to copy also while leases are alive; what is written since is not copied.
        on_progress: Called with each batch.

    Raises:
        NotFound: There is no ledger at the source.
        Invalid: It is no current one, somebody is using it, the target is not empty or cannot hold
            a row; nothing was written.
        Failed: The copy is not what was read; nothing was written.
    """
    if not exists(source):
        raise NotFound(f"ledger {str(source)!r}: there is no such file", code="no_ledger")
    with closing(open_database(source, setting="FROM")) as read:
        read.read(lambda connection: _check_source(connection, read.name, live=live))
        with closing(open_database(target, setting="TO", restoring=True)) as written:
            return _copy(read, written, live=live, on_progress=on_progress)


class _SourceError(Exception):
    """A fault of the source while the target's transaction runs: its database explains it."""

    def __init__(self, fault: sa.exc.DBAPIError) -> None:
        super().__init__(str(fault))
        self.fault = fault


def _copy(source: Database, target: Database, *, live: bool, on_progress: OnProgress) -> LedgerCopy:
    _check_target(target.read(lambda connection: _found(connection, target.name)), target.name)
    target.prepare()

    def copied(reading: sa.Connection) -> LedgerCopy:
        _check_source(reading, source.name, live=live)
        copying = _Copying(
            source=source, target=target, reading=_Reading(reading), on_progress=on_progress
        )
        try:
            return target.write(copying.run, lock=SCHEMA_LOCK)
        except _SourceError as error:
            raise error.fault from error

    return source.read(copied)


class _Reading:
    """The source's snapshot, whose faults are told from those of the target."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection

    def batches(self, table: sa.Table) -> Iterator[Sequence[Row]]:
        try:
            yield from _batches(self.connection, table)
        except sa.exc.DBAPIError as error:
            raise _SourceError(error) from error

    def keep(self) -> None:
        """Let the server not take it for one that was forgotten, while the copy is verified."""
        try:
            self.connection.execute(sa.select(sa.literal_column("1")))
        except sa.exc.DBAPIError as error:
            raise _SourceError(error) from error

    def last_id(self, source: Database, table: sa.Table) -> int:
        try:
            return source.upkeep.last_id(self.connection, table)
        except sa.exc.DBAPIError as error:
            raise _SourceError(error) from error


@dataclass(frozen=True, kw_only=True)
class _Copying:
    """One copy, as a change of the target."""

    source: Database
    target: Database
    reading: _Reading
    on_progress: OnProgress

    def run(self, writing: sa.Connection) -> LedgerCopy:
        """Write everything and verify it. Run again on a new transaction, it does the same."""
        found = _found(writing, self.target.name)
        _check_target(found, self.target.name)
        if not found.revision:
            create_tables(writing)
        tables = tuple(self._table(writing, table) for table in metadata.sorted_tables)
        for table, copied in zip(metadata.sorted_tables, tables, strict=True):
            self._verify(writing, table, copied)
        return LedgerCopy(
            source=self.source.name, target=self.target.name, revision=HEAD, tables=tables
        )

    def _table(self, writing: sa.Connection, table: sa.Table) -> TableCopy:
        read = _Digest(table.name)
        insert = _plain(table).insert()
        for batch in self.reading.batches(table):
            read.add(batch)
            try:
                writing.execute(insert, [dict(row._mapping) for row in batch])  # noqa: SLF001 - SQLAlchemy's public name for it
            except (sa.exc.DataError, sa.exc.IntegrityError) as error:
                raise Invalid(
                    f"ledger {self.target.name!r}: a row of {table.name!r} cannot be kept there: "
                    f"{_first_line(error.orig)}; nothing was copied"
                ) from error
            self.on_progress(Progress(table=table.name, rows=read.rows))
        if id_of(table) is not None:
            last = self.reading.last_id(self.source, table)
            self.target.upkeep.continue_after(writing, table, last)
        return read.result()

    def _verify(self, writing: sa.Connection, table: sa.Table, copied: TableCopy) -> None:
        written = _Digest(table.name)
        for batch in _batches(writing, table):
            written.add(batch)
            self.reading.keep()
            self.on_progress(Progress(table=table.name, rows=written.rows, verifying=True))
        if written.result() != copied:
            raise Failed(
                f"ledger {self.target.name!r}: the copy of {table.name!r} has {written.rows} rows "
                f"that are not the {copied.rows} that were read; nothing was copied"
            )


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What a target holds: the revision of its tables, and the first that has a row."""

    revision: str
    filled: str | None


def _found(connection: sa.Connection, name: str) -> _Found:
    revision = revision_of(connection, name)
    if revision != HEAD:
        return _Found(revision=revision, filled=None)
    filled = (
        table.name
        for table in metadata.sorted_tables
        if connection.execute(sa.select(sa.exists(sa.select(table)))).scalar_one()
    )
    return _Found(revision=revision, filled=next(filled, None))


def _check_target(found: _Found, name: str) -> None:
    if found.revision not in ("", HEAD):
        raise Invalid(
            f"ledger {name!r}: it is one of revision {found.revision}; copy into an empty database",
            code="ledger_not_empty",
        )
    if found.filled is not None:
        raise Invalid(
            f"ledger {name!r}: it has rows in {found.filled!r}; copy into an empty database",
            code="ledger_not_empty",
        )


def _check_source(connection: sa.Connection, name: str, *, live: bool) -> None:
    revision = revision_of(connection, name)
    match standing(revision):
        case "empty":
            raise NotFound(f"ledger {name!r}: a database without tables", code="no_ledger")
        case "older":
            step = NextStep(
                action="ledger.upgrade", effect="with it as $FAIRLEAD_LEDGER brings it up to date"
            )
            raise Invalid(
                f"ledger {name!r}: its tables are of revision {revision}, not {HEAD}",
                code="older_ledger",
                next_steps=(step,),
            )
        case "newer":
            raise Invalid(
                f"ledger {name!r}: a newer Fairlead made it (revision {revision}); upgrade Fairlead"
            )
    if not live:
        step = NextStep(
            action="ledger.copy",
            arguments={"source": None, "target": None, "live": True},
            effect="copies it all the same, without what they write since",
        )
        refuse_leases(live_leases(connection), name, step)


# ---- rows as the database keeps them ------------------------------------------------------------


class _Digest:
    """Counts the rows of a table, and adds up their SHA-256."""

    def __init__(self, table: str) -> None:
        self.rows = 0
        self._table = table
        self._sum = 0

    def add(self, batch: Sequence[Row]) -> None:
        for row in batch:
            text = repr([_canonical(value) for value in row]).encode()
            self._sum += int.from_bytes(hashlib.sha256(text).digest(), "big")
        self.rows += len(batch)

    def result(self) -> TableCopy:
        digest = f"{self._sum % _MODULUS:064x}"
        return TableCopy(name=self._table, rows=self.rows, digest=digest)


def _canonical(value: object) -> object:
    """What databases tell apart that others do not: SQLite keeps no -0.0, and no NaN."""
    match value:
        case float():
            return None if math.isnan(value) else value + 0.0
        case bytearray() | memoryview():
            return bytes(value)
    return value


def _batches(connection: sa.Connection, table: sa.Table) -> Iterator[Sequence[Row]]:
    """The rows by their primary key, so that one comes after those of its table that it names."""
    plain = _plain(table)
    rows = sa.select(plain).order_by(*(plain.c[column.name] for column in table.primary_key))
    with connection.execute(rows.execution_options(yield_per=_BATCH)) as result:
        yield from result.partitions()


def _plain(table: sa.Table) -> sa.TableClause:
    """The table with the types that its database knows, without those that make records of JSON."""
    return sa.table(table.name, *(sa.column(each.name, _stored(each.type)) for each in table.c))


def _stored(kind: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    return kind.impl_instance if isinstance(kind, sa.types.TypeDecorator) else kind


def _first_line(error: object) -> str:
    return " ".join(str(error).split("\n", 1)[0].split())[:300]
