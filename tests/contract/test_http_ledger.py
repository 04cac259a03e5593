"""A ledger behind the control API does what every ledger does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.autoscaling_contract import AutoscalingContract
from tests.contract.concurrent_contract import ConcurrentContract
from tests.contract.fleet_contract import FleetContract
from tests.contract.ledger_contract import LedgerContract
from tests.contract.paging_contract import PagingContract
from tests.contract.runs_contract import RunsContract
from tests.contract.schedules_contract import SchedulesContract
from tests.contract.serving_contract import ServingContract
from tests.support.control_server import ControlServer, control_server


@pytest.fixture(scope="module")
def server() -> Iterator[ControlServer]:
    with control_server() as started:
        yield started


class TestHttpLedger(
    LedgerContract,
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
