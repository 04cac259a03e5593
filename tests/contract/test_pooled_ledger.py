"""The PostgreSQL ledger behind a pooler in transaction mode, under several processes at once.

Statements that were prepared would fail here, or be taken for another client's of the same name.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from tests.contract.concurrent_contract import ConcurrentContract
from tests.support.pgbouncer import pooled
from tests.support.postgres import database


class TestPooledLedger(ConcurrentContract):
    @pytest.fixture
    def location(self, postgres: str) -> Iterator[str]:
        with database(postgres) as direct, pooled(direct) as url:
            yield url

    @pytest.fixture
    def ledger(self, location: str) -> Iterator[Ledger]:
        with open_ledger(location) as opened:
            yield opened
