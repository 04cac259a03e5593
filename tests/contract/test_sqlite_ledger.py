"""The SQLite ledger does what every ledger does."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from sqlalchemy.dialects import postgresql

from fairlead.ledger.database import Value
from fairlead.ledger.interface import Ledger
from fairlead.ledger.sqlite import SqliteDatabase
from fairlead.ledger.store import SqlLedger, bring_to_head, open_ledger
from tests.contract.autoscaling_contract import AutoscalingContract
from tests.contract.concurrent_contract import ConcurrentContract
from tests.contract.fits_contract import FitsContract
from tests.contract.fleet_contract import FleetContract
from tests.contract.ledger_contract import LedgerContract
from tests.contract.ledger_machine import LedgerMachine
from tests.contract.paging_contract import PagingContract
from tests.contract.requests_contract import ConcurrentRequestsContract, RequestsContract
from tests.contract.runs_contract import RunsContract
from tests.contract.schedules_contract import SchedulesContract
from tests.contract.serving_contract import ServingContract
from tests.contract.serving_machine import ServingMachine


class TestSqliteLedger(
    LedgerContract,
    FitsContract,
    FleetContract,
    RunsContract,
    RequestsContract,
    SchedulesContract,
    PagingContract,
    AutoscalingContract,
    ServingContract,
    ConcurrentContract,
    ConcurrentRequestsContract,
):
    @pytest.fixture
    def location(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/ledger.db"


class Demanding(SqliteDatabase):
    """What a database may ask of the ledger that SQLite does not.

    The first commit of each write does not come about, as after a deadlock; every statement can be
    said to PostgreSQL; a read locks no rows.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.reading = self.refusing = False
        sa.event.listen(self._engine, "before_execute", self.look_at)

    def read(self, query: Callable[[sa.Connection], Value]) -> Value:
        self.reading = True
        try:
            return super().read(query)
        finally:
            self.reading = False

    def write(self, change: Callable[[sa.Connection], Value], **how: Any) -> Value:
        self.refusing = True
        return super().write(change, **how)

    def _commit(self, connection: sa.Connection) -> None:
        if self.refusing:
            self.refusing = False
            busy = sqlite3.OperationalError("deadlock detected")
            busy.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise sa.exc.OperationalError("COMMIT", {}, busy)
        super()._commit(connection)

    def look_at(self, _connection: sa.Connection, statement: sa.Executable, *_: object) -> None:
        if isinstance(statement, sa.ClauseElement) and not isinstance(statement, sa.DDLElement):
            said = str(statement.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call] # SQLAlchemy's
            assert not self.reading or "FOR UPDATE" not in said


class TestDemandingLedger(
    LedgerContract,
    FitsContract,
    FleetContract,
    RunsContract,
    RequestsContract,
    SchedulesContract,
    AutoscalingContract,
    ServingContract,
):
    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Iterator[Ledger]:
        database = Demanding(tmp_path / "ledger.db")
        bring_to_head(database)
        with SqlLedger(database) as opened:
            yield opened


class SqliteFile:
    """A new ledger for each run of a machine."""

    def open(self) -> Ledger:
        self.folder = tempfile.TemporaryDirectory()
        return open_ledger(Path(self.folder.name) / "ledger.db")

    def teardown(self) -> None:
        super().teardown()  # type: ignore[misc] # of the machine that it is mixed into
        self.folder.cleanup()


class SqliteMachine(SqliteFile, LedgerMachine):
    pass


class SqliteServingMachine(SqliteFile, ServingMachine):
    pass


RUNS = settings(
    max_examples=40,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestSqliteMachine = SqliteMachine.TestCase
TestSqliteMachine.settings = RUNS
TestSqliteServingMachine = SqliteServingMachine.TestCase
TestSqliteServingMachine.settings = RUNS
