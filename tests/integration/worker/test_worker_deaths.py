"""A worker dies at the worst moments, and another one does the rest: every trial counts once."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from tests.integration.worker.test_worker_loop import made_shop
from tests.support.waiting import wait_until

from fairlead.records import Counts


@pytest.mark.parametrize(
    ("when", "method", "commits"),
    [
        # The hint that it came for is acknowledged after this; the first heartbeat comes later.
        ("after", "claim", 0),
        ("before", "commit_and_claim", 0),
        ("after", "commit_and_claim", 1),  # it has its next task in hand
    ],
    ids=["before its first heartbeat", "before the commit", "after the commit"],
)
def test_a_worker_that_dies_costs_an_attempt_and_no_trial(
    tmp_path: Path, when: str, method: str, commits: int
) -> None:
    with made_shop(tmp_path) as shop:
        program = [sys.executable, "-m", "tests.support.mortal", str(tmp_path / "home")]
        died = subprocess.run([*program, when, method], check=False, timeout=300)
        assert died.returncode == -signal.SIGKILL
        assert shop.ledger.studies.counts(shop.study.id).done == commits
        shop.worker.lease = 60.0
        working = threading.Thread(target=shop.worker.run)
        working.start()
        try:
            wait_until(lambda: shop.ledger.studies.counts(shop.study.id) == Counts(done=3))
        finally:
            shop.worker.stop.ask()
            working.join()
        events = shop.ledger.studies.events(shop.study.id)
        kinds = Counter(event.kind for event in events)
        assert (kinds["committed"], kinds["lost"], kinds["faulted"]) == (3, 1, 0)
        results, _ = shop.ledger.studies.results(shop.study.id)
        assert sorted(result.number for result in results) == [0, 1, 2]
