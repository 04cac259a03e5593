"""The suites are imported, not collected: pytest must be told to explain their asserts too."""

import pytest

pytest.register_assert_rewrite(
    "tests.contract.artifacts_contract",
    "tests.contract.concurrent_contract",
    "tests.contract.fleet_contract",
    "tests.contract.ledger_contract",
    "tests.contract.ledger_machine",
    "tests.contract.paging_contract",
    "tests.contract.queue_contract",
    "tests.contract.runner_contract",
    "tests.contract.runs_contract",
    "tests.contract.serving_contract",
    "tests.contract.serving_machine",
)
