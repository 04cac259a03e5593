"""One ledger object, several threads: a worker's parent beats while it commits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from fairlead.records import Counts, Result
from tests.integration.ledger.processes import STUDY, add_trials, ledger_file


def work(ledger: Ledger, worker: str) -> int:
    count = 0
    while claim := ledger.tasks.claim(worker, lease=60):
        ledger.tasks.heartbeat(claim, lease=60)
        ledger.tasks.commit(claim, [Result(number=claim.trials[0].number, state="done")])
        count += 1
    return count


def test_threads_share_a_ledger(tmp_path: Path) -> None:
    with open_ledger(ledger_file(tmp_path)) as ledger, ThreadPoolExecutor(4) as pool:
        add_trials(ledger, 100)
        counts = list(pool.map(lambda number: work(ledger, f"w{number}"), range(4)))
        assert sum(counts) == 100
        assert ledger.studies.counts(STUDY.id) == Counts(done=100)
