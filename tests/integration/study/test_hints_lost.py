"""A hint that was lost on its way is told again while tasks wait, and no more once none does."""

from __future__ import annotations

from pathlib import Path

from tests.integration.worker.test_worker_loop import made_shop

from fairlead.records import Result
from fairlead.settings import Settings
from fairlead.spec.load import load
from fairlead.study import plan as plans
from fairlead.study.coordinator import Coordinator


def test_what_still_waits_is_told_again_after_five_seconds(tmp_path: Path) -> None:
    with made_shop(tmp_path) as shop:
        loaded = load(tmp_path / "ridge.yaml", sets=())
        plan = plans.make(loaded.spec, base=loaded.base, settings=Settings(home=tmp_path / "home"))
        now, told = 100.0, list[int]()
        coordinator = Coordinator(
            plan, shop.study, shop.ledger, clock=lambda: now, tell=told.append
        )
        assert coordinator.advance()
        assert told == [2]  # three were there before
        now += 4.9
        assert coordinator.advance()
        assert told == [2]
        now += 0.2
        assert coordinator.advance()
        assert told == [2, 5]
        claims = [shop.ledger.tasks.claim("w", lease=60) for _ in range(5)]
        now += 5.1
        assert coordinator.advance()
        assert told == [2, 5]  # all are in somebody's hands
        for claim in filter(None, claims):
            result = Result(number=claim.trials[0].number, state="failed", reason="for the test")
            shop.ledger.tasks.commit(claim, [result])
        now += 5.1
        coordinator.advance()
        assert told == [2, 5]
