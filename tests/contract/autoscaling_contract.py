"""What every ledger tells of the load, and keeps of decisions on how many workers there are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fairlead.errors import Lost
from fairlead.ledger import autoscaling
from fairlead.ledger.interface import Ledger
from fairlead.records import Autoscaler, Load, NewTask, Offer, ScalingDecision, Trial
from tests.contract.ledger_contract import (
    LEASE,
    STUDY,
    claimed_together,
    done,
    let_lease_end,
    must_claim,
    one_done,
    task,
    wait_until_past,
)

ONE = Autoscaler(name="local", holder="one")
TWO = Autoscaler(name="local", holder="two")
DECISION = ScalingDecision(
    autoscaler="local",
    cause="work",
    reason="12 tasks wait",
    wanted=6,
    there=4,
    starting=1,
    busy=3,
    ready=12,
    running=3,
    start=2,
    leave=("w1", "w2"),
    spent=1.5,
)


def opened(ledger: Ledger, count: int = 3) -> None:
    ledger.studies.open(STUDY)
    ledger.tasks.add(STUDY.id, [task(number) for number in range(count)])


class LoadContract:
    def test_an_empty_ledger_has_no_load(self, ledger: Ledger) -> None:
        before = ledger.now()
        load = ledger.autoscaling.load()
        assert load == Load(at=load.at)
        assert before <= load.at <= ledger.now()

    def test_tasks_are_counted_by_study_the_highest_priority_first(self, ledger: Ledger) -> None:
        opened(ledger)
        ledger.studies.open(replace(STUDY, id="b" * 64, name="other", priority=2))
        ledger.tasks.add("b" * 64, [task(0), task(1)])
        must_claim(ledger)
        load = ledger.autoscaling.load()
        told = [(each.name, each.priority, each.ready, each.running) for each in load.studies]
        assert told == [("other", 2, 1, 1), (STUDY.name, 0, 3, 0)]
        assert load.busy == {"w"}
        (only,) = ledger.autoscaling.load(study=STUDY.id).studies
        assert (only.study, only.ready) == (STUDY.id, 3)

    def test_a_paused_study_and_one_that_is_done_are_no_load(self, ledger: Ledger) -> None:
        opened(ledger, 1)
        ledger.studies.pause(STUDY.id)
        assert ledger.autoscaling.load().studies == ()
        ledger.studies.resume(STUDY.id)
        ledger.tasks.commit(must_claim(ledger), [done(0)])
        assert ledger.autoscaling.load().studies == ()

    def test_a_task_whose_lease_has_ended_waits(self, ledger: Ledger) -> None:
        opened(ledger, 2)
        claim = must_claim(ledger, lease=0.001)
        let_lease_end(ledger, claim)
        (study,) = ledger.autoscaling.load().studies
        assert (study.ready, study.running) == (2, 0)
        assert ledger.autoscaling.load().busy == frozenset()

    def test_seconds_are_those_from_claim_to_commit(self, ledger: Ledger) -> None:
        opened(ledger)
        assert ledger.autoscaling.load().studies[0].seconds is None
        began = ledger.now()
        claim = must_claim(ledger)
        wait_until_past(ledger, ledger.now() + 0.05)
        assert ledger.autoscaling.load().studies[0].longest >= 0.05
        ledger.tasks.commit(claim, [done(0)])
        seconds = ledger.autoscaling.load().studies[0].seconds
        assert seconds is not None
        assert 0.04 <= seconds <= ledger.now() - began

    def test_only_the_last_tasks_say_how_long_one_takes(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(autoscaling, "_LAST_TASKS", 2)
        opened(ledger, 4)
        began = ledger.now()
        claim = must_claim(ledger)
        wait_until_past(ledger, began + 0.5)
        ledger.tasks.commit(claim, [done(0)])
        slow = ledger.autoscaling.load().studies[0].seconds
        for number in (1, 2):
            ledger.tasks.commit(must_claim(ledger), [done(number)])
        quick = ledger.autoscaling.load().studies[0].seconds
        assert slow is not None
        assert quick is not None
        assert quick < slow

    def test_tasks_that_were_claimed_together_share_their_time_and_their_worker(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(autoscaling, "_LAST_TASKS", 4)
        claims = claimed_together(ledger, 4)
        began = ledger.now()
        assert ledger.autoscaling.load().studies[0].running == 1
        wait_until_past(ledger, began + 0.4)
        ledger.tasks.commit_and_claim([one_done(claim) for claim in claims], lease=LEASE, most=0)
        seconds = ledger.autoscaling.load().studies[0].seconds
        assert seconds is not None
        assert 0.1 <= seconds <= (ledger.now() - began + 0.2) / 4

    def test_where_the_last_lines_hold_no_whole_task_results_say_it(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened(ledger)
        ledger.tasks.commit(must_claim(ledger), [replace(done(0), seconds=7.0)])
        short = autoscaling._HISTORY.limit(1)
        monkeypatch.setattr(autoscaling, "_HISTORY", short)
        assert ledger.autoscaling.load().studies[0].seconds == 7.0

    def test_it_is_said_what_no_worker_of_the_kind_can_take(self, ledger: Ledger) -> None:
        needs = {"xgb": {"xgboost": "3.1"}, "cat": {"catboost": "1.2"}}
        ledger.studies.open(replace(STUDY, needs=needs))
        trials = [Trial(number=n, family=("xgb", "cat")[n % 2], params={}) for n in range(4)]
        ledger.tasks.add(STUDY.id, [NewTask(kind="trials", trials=(one,)) for one in trials])
        offers = [Offer(packages={}), Offer(packages={"catboost": "1.2"})]
        lacking, able = (ledger.autoscaling.load(offer=one).studies[0].lacking for one in offers)
        assert "is needed, and it has none" in lacking
        assert able == ledger.autoscaling.load().studies[0].lacking == ""


class DecisionsContract:
    def test_one_process_holds_the_name(self, ledger: Ledger) -> None:
        held = ledger.autoscaling.take(ONE, lease=LEASE)
        assert (held.holder, held.spent, held.workers) == ("one", 0.0, ())
        assert held.began > 0
        assert ledger.autoscaling.take(TWO, lease=LEASE).holder == "one"
        assert ledger.autoscaling.all() == [held]
        ledger.autoscaling.release("local", "two")  # who does not hold it
        assert ledger.autoscaling.take(TWO, lease=LEASE).holder == "one"
        other = replace(TWO, name="other")
        assert ledger.autoscaling.take(other, lease=LEASE).holder == "two"
        assert [each.name for each in ledger.autoscaling.all()] == ["local", "other"]

    def test_a_change_of_workers_is_written_at_once(self, ledger: Ledger) -> None:
        ledger.autoscaling.take(ONE, lease=LEASE)
        ledger.autoscaling.take(replace(ONE, spent=5.0), lease=LEASE)
        assert ledger.autoscaling.all()[0].spent == 0.0  # soon enough with the lease
        ledger.autoscaling.take(replace(ONE, spent=5.0, workers=("a",)), lease=LEASE)
        (kept,) = ledger.autoscaling.all()
        assert (kept.spent, kept.workers) == (5.0, ("a",))

    def test_who_takes_over_goes_on_with_what_was_spent_and_is_told_the_workers(
        self, ledger: Ledger
    ) -> None:
        ledger.autoscaling.take(ONE, lease=0.001)
        first = ledger.autoscaling.take(replace(ONE, spent=9.0, workers=("a", "b")), lease=0.001)
        wait_until_past(ledger, ledger.now() + 0.002)
        assert ledger.autoscaling.all()[0].holder is None
        taken = ledger.autoscaling.take(TWO, lease=LEASE)
        assert (taken.holder, taken.spent, taken.workers) == ("two", 9.0, ("a", "b"))
        assert taken.began == first.began
        assert ledger.autoscaling.take(ONE, lease=LEASE).holder == "two"

    def test_after_a_release_the_next_begins_anew(self, ledger: Ledger) -> None:
        ledger.autoscaling.take(ONE, lease=LEASE)
        ledger.autoscaling.take(replace(ONE, spent=9.0, workers=("a",)), lease=LEASE)
        ledger.autoscaling.release("local", "one")
        assert ledger.autoscaling.take(TWO, lease=LEASE).spent == 0.0

    def test_decisions_are_kept_with_all_that_they_say(self, ledger: Ledger) -> None:
        ledger.autoscaling.take(ONE, lease=LEASE)
        kept = ledger.autoscaling.decided(DECISION, holder="one")
        assert kept == replace(DECISION, at=kept.at)
        assert kept.at > 0
        later = ledger.autoscaling.decided(replace(DECISION, reason="later"), holder="one")
        assert list(ledger.autoscaling.decisions()) == [later, kept]
        assert list(ledger.autoscaling.decisions("local", limit=1)) == [later]
        assert list(ledger.autoscaling.decisions("other")) == []
        assert ledger.autoscaling.all()[0].spent == 1.5

    def test_who_lost_the_name_decides_nothing(self, ledger: Ledger) -> None:
        with pytest.raises(Lost, match="is held by nobody by now"):
            ledger.autoscaling.decided(DECISION, holder="one")
        ledger.autoscaling.take(ONE, lease=LEASE)
        with pytest.raises(Lost, match="is held by 'one' by now, not 'two'"):
            ledger.autoscaling.decided(DECISION, holder="two")
        assert list(ledger.autoscaling.decisions()) == []

    def test_old_decisions_go(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(autoscaling, "KEPT_DECISIONS", 3)
        ledger.autoscaling.take(ONE, lease=LEASE)
        ledger.autoscaling.take(replace(ONE, name="other"), lease=LEASE)
        ledger.autoscaling.decided(replace(DECISION, autoscaler="other"), holder="one")
        for number in range(6):
            ledger.autoscaling.decided(replace(DECISION, wanted=number), holder="one")
        assert [one.wanted for one in ledger.autoscaling.decisions("local")] == [5, 4, 3]
        assert len(ledger.autoscaling.decisions("other")) == 1


class AutoscalingContract(LoadContract, DecisionsContract):
    """All of it."""
