"""How a ledger is: where, of which revision, how large, and whether somebody is using it.

Nothing is changed, and no older ledger is brought up to date, to find this out.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import sqlalchemy as sa

from fairlead.errors import Invalid, NextStep
from fairlead.ledger.database import Database, lease_has_ended, now
from fairlead.ledger.schema import HEAD, metadata
from fairlead.ledger.store import Standing, revision_of, standing
from fairlead.ledger.upkeep import Description, RowCount

State: TypeAlias = Standing | Literal["other"]


@dataclass(frozen=True, kw_only=True)
class LedgerStatus:
    """How a ledger is.

    Args:
        ledger: Its file, or its URL without a password.
        database: What it is in.
        state: How its tables stand to those that this program knows; "other": they are none of a
            ledger.
        revision: Of its tables; empty where there are none.
        head: The revision that this program knows.
        tables: How many rows each has; None where the role may not read it.
        leases: How many leases are alive, by the table that they are in.
        clock: Seconds that the database's clock is ahead of this machine's.
    """

    ledger: str
    database: Description
    state: State
    revision: str
    head: str
    tables: Mapping[str, RowCount | None]
    leases: Mapping[str, int]
    clock: float


def status(database: Database) -> LedgerStatus:
    """How the ledger is in its database.

    Raises:
        Invalid: The database cannot be read.
    """
    clock = _clock(database)
    return database.read(lambda connection: _status(connection, database, clock))


def live_leases(connection: sa.Connection) -> Mapping[str, int]:
    """How many leases are alive, by the table that they are in: somebody is using the ledger.

    Of the tables that are there: an older ledger has fewer.
    """
    at = now(connection)
    leased = [
        table for table in _tables(connection) if {"lease", "lease_ends"} <= {*table.c.keys()}
    ]
    counts = {table.name: _alive(connection, table, at) for table in leased}
    return {name: count for name, count in counts.items() if count}


def refuse_leases(alive: Mapping[str, int], name: str, step: NextStep) -> None:
    """Refuse what would take the ledger from under those who have leases in it.

    Args:
        alive: How many leases are, by table.
        name: The ledger's.
        step: What does it all the same.

    Raises:
        Invalid: There are any.
    """
    if alive:
        listed = ", ".join(f"{count} in {table}" for table, count in alive.items())
        raise Invalid(
            f"ledger {name!r}: leases are alive ({listed}): end its workers, runs and "
            "servers first",
            code="ledger_in_use",
            next_steps=(step,),
        )


def _status(connection: sa.Connection, database: Database, clock: float) -> LedgerStatus:
    state, revision = _state(connection, database.name)
    tables = [] if state == "other" else _tables(connection)
    upkeep = database.upkeep
    readable = [table for table in tables if upkeep.may_read(connection, table)]
    counts = {table.name: upkeep.rows(connection, table) for table in readable}
    return LedgerStatus(
        ledger=database.name,
        database=upkeep.description(connection),
        state=state,
        revision=revision,
        head=HEAD,
        tables={table.name: counts.get(table.name) for table in tables},
        leases=_live_leases(connection, readable),
        clock=clock,
    )


def _state(connection: sa.Connection, name: str) -> tuple[State, str]:
    try:
        revision = revision_of(connection, name)
    except Invalid:
        return "other", ""
    return standing(revision), revision


def _clock(database: Database) -> float:
    before = time.time()
    at = database.read(now)
    return at - (before + time.time()) / 2


def _tables(connection: sa.Connection) -> list[sa.Table]:
    """The ledger's tables that are there: an older one has fewer."""
    there = set(sa.inspect(connection).get_table_names())
    return [table for table in metadata.sorted_tables if table.name in there]


def _live_leases(connection: sa.Connection, tables: Iterable[sa.Table]) -> Mapping[str, int]:
    at = now(connection)
    leased = [table for table in tables if {"lease", "lease_ends"} <= {*table.c.keys()}]
    counts = {table.name: _alive(connection, table, at) for table in leased}
    return {name: count for name, count in counts.items() if count}


def _alive(connection: sa.Connection, table: sa.Table, at: float) -> int:
    leases = sa.select(table.c.lease, table.c.lease_ends).where(table.c.lease_ends.is_not(None))
    return sum(
        not lease_has_ended(at, lease=row.lease, ends=row.lease_ends)
        for row in connection.execute(leases)
    )
