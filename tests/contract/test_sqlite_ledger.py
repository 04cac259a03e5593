"""The SQLite ledger does what every ledger does."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from tests.contract.ledger_contract import LedgerContract
from tests.contract.ledger_machine import LedgerMachine
from tests.contract.runs_contract import RunsContract
from tests.contract.serving_contract import ServingContract
from tests.contract.serving_machine import ServingMachine


class TestSqliteLedger(LedgerContract, RunsContract, ServingContract):
    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Iterator[Ledger]:
        with open_ledger(tmp_path / "ledger.db") as opened:
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
