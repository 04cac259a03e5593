"""A ledger behind the control API does what every ledger does."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings

from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from tests.contract.autoscaling_contract import AutoscalingContract
from tests.contract.concurrent_contract import ConcurrentContract
from tests.contract.fits_contract import FitsContract
from tests.contract.fleet_contract import FleetContract
from tests.contract.ledger_contract import LedgerContract
from tests.contract.ledger_machine import LedgerMachine
from tests.contract.paging_contract import PagingContract
from tests.contract.runs_contract import RunsContract
from tests.contract.schedules_contract import SchedulesContract
from tests.contract.serving_contract import ServingContract
from tests.contract.serving_machine import ServingMachine
from tests.support.control_server import ControlServer, control_server
from tests.support.postgres import database


@pytest.fixture(scope="module")
def server() -> Iterator[ControlServer]:
    with control_server() as started:
        yield started


class HttpHomes:
    """A new ledger for each run of a machine."""

    server: ClassVar[ControlServer]

    def open(self) -> Ledger:
        self.homes = ExitStack()
        folder = self.homes.enter_context(tempfile.TemporaryDirectory())
        self.homes.enter_context(self.server.serving(Path(folder)))
        return open_ledger(self.server.url)

    def teardown(self) -> None:
        super().teardown()  # type: ignore[misc] # of the machine that it is mixed into
        self.homes.close()


@pytest.fixture(autouse=True, scope="module")
def _server(server: ControlServer) -> None:
    HttpHomes.server = server


class HttpMachine(HttpHomes, LedgerMachine):
    pass


class HttpServingMachine(HttpHomes, ServingMachine):
    pass


RUNS = settings(
    max_examples=8,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestHttpMachine = HttpMachine.TestCase
TestHttpMachine.settings = RUNS
TestHttpServingMachine = HttpServingMachine.TestCase
TestHttpServingMachine.settings = RUNS


class TestHttpLedger(
    LedgerContract,
    FitsContract,
    FleetContract,
    RunsContract,
    SchedulesContract,
    PagingContract,
    AutoscalingContract,
    ServingContract,
    ConcurrentContract,
):
    @pytest.fixture
    def location(self, server: ControlServer, tmp_path: Path) -> Iterator[str]:
        with server.serving(tmp_path):
            yield server.url


class TestHttpOverPostgres(FleetContract, RunsContract):
    """Whose server has its ledger on another one."""

    @pytest.fixture
    def ledger(self, server: ControlServer, postgres: str, tmp_path: Path) -> Iterator[Ledger]:
        with (
            database(postgres) as url,
            server.serving(tmp_path, url),
            open_ledger(server.url) as opened,
        ):
            yield opened
