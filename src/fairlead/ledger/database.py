"""What a ledger needs of a database: transactions, named locks, and a clock.

A transaction is a function of a connection, so that it can be run again where the database says
that it did not come about (a deadlock, a serialization failure, a busy file). Such a function does
nothing but read and write through its connection.

Only one transaction at a time holds a lock of some name. Whoever checks something and then writes
what rests on it takes the lock of what it is about: the definition of a study, or everything of a
model. Tasks and deployments, which change under leases, are locked by their rows instead. Locks
are taken in this order: the named one, then rows of tasks, then the row of their study.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar

import sqlalchemy as sa
from sqlalchemy.sql.functions import FunctionElement

from fairlead.errors import Invalid
from fairlead.ledger.upkeep import Upkeep

Row: TypeAlias = sa.Row[*tuple[Any, ...]]
Value = TypeVar("Value")

PATIENCE = 60.0  # seconds that a transaction waits for others


class Now(FunctionElement[float]):
    """The database's own clock, in seconds since the epoch; each database says how to ask it."""

    type = sa.Double()
    inherit_cache = True


class NextWriter(FunctionElement[int]):
    """A number above that of every transaction that has written anything so far."""

    type = sa.BigInteger()
    inherit_cache = True


class OldestWriter(FunctionElement[int]):
    """A number that is no higher than that of any transaction that may still commit."""

    type = sa.BigInteger()
    inherit_cache = True


_NOW = sa.select(Now())


def now(connection: sa.Connection) -> float:
    """The database's clock, read once."""
    return float(connection.execute(_NOW).scalar_one())


def study_lock(study: str) -> str:
    """The lock of what a study is: its size, its state, and which trials it has."""
    return f"study:{study}"


def model_lock(model: str) -> str:
    """The lock of a model: its versions, champion, judgements, revisions and routes."""
    return f"model:{model}"


SCHEMA_LOCK = "schema"
"""The lock of whoever makes or changes tables, or fills them all."""

HOME = "$FAIRLEAD_HOME"
"""The setting that says where a ledger is unless another one names it."""


class Database(Protocol):
    """A database that a ledger is in. Safe to use from several threads, not over a fork."""

    @property
    def name(self) -> str:
        """What to call it in messages."""
        ...

    @property
    def setting(self) -> str:
        """The setting that says where it is: what messages advise to change."""
        ...

    @property
    def upgrades_on_opening(self) -> bool:
        """Whether opening an older ledger brings its tables up to date.

        Not where it is shared with programs of other machines, which may be older still.
        """
        ...

    @property
    def upkeep(self) -> Upkeep:
        """What its status, copies and rights are asked of."""
        ...

    def refuse_emptied(self) -> None:
        """Raise Corrupt where it has no tables although something shows that it had some."""
        ...

    def prepare(self) -> None:
        """Set what must be set once, outside of any transaction, before the first write."""
        ...

    def read(self, query: Callable[[sa.Connection], Value]) -> Value:
        """Run a function that reads one state of the ledger and blocks nobody.

        Raises:
            Busy: Others kept it from beginning for too long.
        """
        ...

    def write(
        self,
        change: Callable[[sa.Connection], Value],
        *,
        lock: str | None = None,
        durable: bool = True,
        patience: float | None = None,
    ) -> Value:
        """Run a function that writes, and commit what it wrote; nothing where it raises.

        Args:
            change: Called again, on a new transaction, where the database asks for that.
            lock: Held until the commit; see `study_lock` and `model_lock`.
            durable: Whether it must outlive a power cut once this returns, at one fsync. Others may
                see it a moment before that: a power cut takes back with it what they write then.
                Without, it outlives every death of processes, and a power cut may take it back.
            patience: Seconds to wait for others, where that is less than for all transactions.

        Returns:
            What the function returned when it was committed.

        Raises:
            Busy: Others wrote for all of the `patience`.
            DiskFull: There is no room on it; nothing was written.
            Failed: The disk is failing; nothing was written.
        """
        ...

    def tell(self, connection: sa.Connection, study: str) -> None:
        """Once the transaction commits, tell who carries the study that there is news of it.

        A hint that may be lost, and on a database that can tell nobody nothing.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


# ---- leases of servers ------------------------------------------------------------------------
#
# When one has ended and when it is to be extended, as functions of the ledger's clock. A server has
# one on being called alive, and one on each deployment that it carries out.


LEASE_PATIENCE = 0.5
"""Seconds that a server waits for other writers when it extends a lease: it has more to do than to
wait, and asks again soon."""


LONGEST_LEASE = 86_400.0
"""Seconds that a lease may be: what the settings allow, too."""


def check_lease(lease: float) -> None:
    """Refuse a lease that would never end, or that has ended before it begins.

    Raises:
        Invalid: It is not above 0 and at most a day.
    """
    if not 0 < lease <= LONGEST_LEASE:
        raise Invalid(f"a lease must be above 0 s and at most a day, not {lease:g} s")


def lease_has_ended(now: float, *, lease: float, ends: float) -> bool:
    """Whether the lease is over.

    So is one that ends further ahead than it is long: it was given before the clock was set back.
    Twice as long forgives the small steps with which clocks are kept right.
    """
    return ends < now or ends > now + 2 * lease


def lease_is_due(now: float, *, lease: float, ends: float) -> bool:
    """Whether to extend it: less than half is left, or more than a whole one of this length.

    A server asks several times a second; only a few of these times need to be written.
    """
    return not lease / 2 <= ends - now <= lease
