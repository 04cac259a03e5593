"""The PostgreSQL ledger does what every ledger does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import ClassVar

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from tests.contract.autoscaling_contract import AutoscalingContract
from tests.contract.concurrent_contract import ConcurrentContract
from tests.contract.fits_contract import FitsContract
from tests.contract.fleet_contract import FleetContract
from tests.contract.ledger_contract import STUDY, LedgerContract
from tests.contract.ledger_machine import LedgerMachine
from tests.contract.paging_contract import PagingContract
from tests.contract.requests_contract import ConcurrentRequestsContract, RequestsContract
from tests.contract.runs_contract import RunsContract
from tests.contract.schedules_contract import SchedulesContract
from tests.contract.serving_contract import ServingContract
from tests.contract.serving_machine import ServingMachine
from tests.support.postgres import database


class TestPostgresLedger(
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
    def location(self, postgres: str) -> Iterator[str]:
        with database(postgres) as url:
            yield url


def test_a_line_that_becomes_visible_late_is_waited_for(postgres: str) -> None:
    with database(postgres) as url, open_ledger(url) as ledger:
        ledger.studies.open(STUDY)
        with psycopg.connect(url) as other:
            other.execute(
                "INSERT INTO events (at, kind, study, text) "
                "SELECT 0, 'late', number, '' FROM studies"
            )
            ledger.studies.pause(STUDY.id)
            mark = ledger.histories.mark()
            assert not ledger.histories.is_settled(mark)
            seen = ledger.histories.lines(after=0, upto=mark.last, limit=9)
            assert [line.event.kind for line in seen] == ["opened", "paused"]
        assert ledger.histories.is_settled(mark)
        seen = ledger.histories.lines(after=0, upto=mark.last, limit=9)
        assert [line.event.kind for line in seen] == ["opened", "late", "paused"]


class PostgresDatabases:
    """A new ledger for each run of a machine."""

    server: ClassVar[str]

    def open(self) -> Ledger:
        self.databases = ExitStack()
        url = self.databases.enter_context(database(self.server))
        return open_ledger(url)

    def teardown(self) -> None:
        super().teardown()  # type: ignore[misc] # of the machine that it is mixed into
        self.databases.close()


@pytest.fixture(autouse=True, scope="module")
def _server(postgres: str) -> None:
    PostgresDatabases.server = postgres


class PostgresMachine(PostgresDatabases, LedgerMachine):
    pass


class PostgresServingMachine(PostgresDatabases, ServingMachine):
    pass


RUNS = settings(
    max_examples=20,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestPostgresMachine = PostgresMachine.TestCase
TestPostgresMachine.settings = RUNS
TestPostgresServingMachine = PostgresServingMachine.TestCase
TestPostgresServingMachine.settings = RUNS
