"""What every ledger does for a fleet: turns, needs, pauses, and who is alive."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from fairlead.errors import Lost, NotFound
from fairlead.ledger.interface import Ledger
from fairlead.records import (
    Claim,
    Counts,
    FleetWorker,
    Judgement,
    Limits,
    NewTask,
    Offer,
    Run,
    RunHolder,
    Study,
    TaskSubject,
    Trial,
)
from tests.contract.ledger_contract import (
    LEASE,
    STUDY,
    VERDICT,
    commit_and_claim,
    done,
    finish,
    must_claim,
    promotion,
    refit,
    task,
    version,
    wait_until_past,
)

LARGE = replace(STUDY, id="a" * 64, name="large", size=1000)
SMALL = replace(STUDY, id="b" * 64, name="small")
WORKER = FleetWorker(
    name="w", host="here", process=7, offer=Offer(packages={"xgboost": "3.1"}, memory=1 << 33)
)


def opened(ledger: Ledger, study: Study, count: int, family: str = "forest") -> None:
    ledger.studies.open(study)
    trials = [Trial(number=number, family=family, params={}) for number in range(count)]
    ledger.tasks.add(study.id, [NewTask(kind="trials", trials=(trial,)) for trial in trials])


def claimed(ledger: Ledger, count: int, **how: Offer) -> list[Claim]:
    claims = [ledger.tasks.claim("w", lease=LEASE, **how) for _ in range(count)]
    return [claim for claim in claims if claim]


def names(claims: list[Claim]) -> str:
    return "".join(claim.study[0] for claim in claims)


class TurnsContract:
    def test_a_large_study_does_not_hold_up_a_small_one(self, ledger: Ledger) -> None:
        opened(ledger, LARGE, 500)
        opened(ledger, SMALL, 3)
        assert names(claimed(ledger, 8)) == "abababaa"

    def test_turns_hold_over_commits(self, ledger: Ledger) -> None:
        opened(ledger, LARGE, 50)
        opened(ledger, SMALL, 10)
        claim: Claim | None = must_claim(ledger)
        taken = []
        while claim and len(taken) < 12:
            taken.append(claim)
            result = [done(claim.trials[0].number)]
            claim = commit_and_claim(ledger, claim, result, lease=LEASE)
        assert Counter(names(taken)) == {"a": 6, "b": 6}

    def test_a_higher_priority_goes_first(self, ledger: Ledger) -> None:
        opened(ledger, LARGE, 50)
        opened(ledger, replace(SMALL, priority=5), 3)
        assert ledger.studies.get(SMALL.id).priority == 5
        assert names(claimed(ledger, 4)) == "bbba"

    def test_a_priority_may_change(self, ledger: Ledger) -> None:
        opened(ledger, LARGE, 50)
        opened(ledger, SMALL, 10)
        ledger.studies.prioritize(LARGE.id, 1)
        assert names(claimed(ledger, 3)) == "aaa"
        ledger.studies.prioritize(LARGE.id, -1)
        assert names(claimed(ledger, 3)) == "bbb"
        events = [one for one in ledger.studies.events(LARGE.id) if one.kind == "prioritized"]
        assert [event.text for event in events] == ["to 1", "to -1"]

    def test_tasks_of_one_study_go_by_age_whatever_their_family(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        trials = [Trial(number=n, family="ab"[n % 2], params={}) for n in range(6)]
        ledger.tasks.add(STUDY.id, [NewTask(kind="trials", trials=(one,)) for one in trials])
        taken = [claim.trials[0].number for claim in claimed(ledger, 7)]
        assert taken == [0, 1, 2, 3, 4, 5]

    def test_a_paused_study_waits_and_what_runs_goes_on(self, ledger: Ledger) -> None:
        opened(ledger, STUDY, 5)
        claim = must_claim(ledger)
        ledger.studies.pause(STUDY.id)
        assert ledger.studies.get(STUDY.id).paused
        assert ledger.tasks.claim("v", lease=LEASE) is None
        assert commit_and_claim(ledger, claim, [done(0)], lease=LEASE) is None
        assert ledger.studies.counts(STUDY.id) == Counts(ready=4, done=1)
        ledger.studies.resume(STUDY.id)
        assert must_claim(ledger).trials[0].number == 1
        kinds = [event.kind for event in ledger.studies.events(STUDY.id)]
        assert kinds == ["opened", "claimed", "paused", "committed", "resumed", "claimed"]

    @pytest.mark.parametrize("change", ["pause", "resume"])
    def test_what_is_not_there_is_not_changed(self, ledger: Ledger, change: str) -> None:
        with pytest.raises(NotFound):
            getattr(ledger.studies, change)("nothing")

    def test_what_waits_and_what_runs_can_be_seen(self, ledger: Ledger) -> None:
        opened(ledger, LARGE, 3)
        opened(ledger, replace(SMALL, priority=1, needs={"forest": {"p": "1"}}), 2)
        before = ledger.now()
        claim = must_claim(ledger)
        (running,) = ledger.tasks.running()
        assert (running.study, running.trials, running.worker) == (SMALL.id, (0,), "w")
        assert (running.task, running.attempt) == (claim.task, 1)
        assert before <= running.since <= ledger.now() <= running.lease_ends
        waiting = ledger.tasks.waiting()
        assert [(queue.study, queue.family) for queue in waiting] == [
            (SMALL.id, "forest"),
            (LARGE.id, "forest"),
        ]
        assert waiting[0].needs == {"p": "1"}
        ledger.studies.pause(LARGE.id)
        assert len(ledger.tasks.waiting()) == 1
        ledger.tasks.commit(claim, [done(0)])
        assert ledger.tasks.running() == []


class NeedsContract:
    def test_a_worker_takes_what_it_has_the_packages_for(self, ledger: Ledger) -> None:
        needs = {"xgb": {"xgboost": "3.1", "fairlead": "1"}, "cat": {"catboost": "1.2"}}
        ledger.studies.open(replace(STUDY, needs=needs))
        trials = [Trial(number=n, family="xgb" if n < 3 else "cat", params={}) for n in range(6)]
        ledger.tasks.add(STUDY.id, [NewTask(kind="trials", trials=(one,)) for one in trials])
        cat = Offer(packages={"catboost": "1.2", "xgboost": "3.0", "fairlead": "1"})
        none = Offer(packages={"xgboost": "3.1"})
        assert ledger.tasks.claim("w", lease=LEASE, offer=none) is None
        assert [claim.trials[0].number for claim in claimed(ledger, 4, offer=cat)] == [3, 4, 5]
        both = Offer(packages={**cat.packages, "xgboost": "3.1"})
        assert [claim.trials[0].number for claim in claimed(ledger, 4, offer=both)] == [0, 1, 2]

    def test_the_next_task_is_one_that_the_worker_can_do(self, ledger: Ledger) -> None:
        needs = {"xgb": {"xgboost": "3.1"}, "cat": {"catboost": "1.2"}}
        ledger.studies.open(replace(STUDY, needs=needs))
        trials = [Trial(number=n, family=("xgb", "cat")[n % 2], params={}) for n in range(4)]
        ledger.tasks.add(STUDY.id, [NewTask(kind="trials", trials=(one,)) for one in trials])
        offer = Offer(packages={"catboost": "1.2"})
        claim = ledger.tasks.claim("w", lease=LEASE, offer=offer)
        assert claim
        following = commit_and_claim(ledger, claim, [done(1)], lease=LEASE, offer=offer)
        assert following
        assert following.trials[0].number == 3
        assert commit_and_claim(ledger, following, [done(3)], lease=LEASE, offer=offer) is None

    def test_a_worker_with_too_little_memory_takes_no_task(self, ledger: Ledger) -> None:
        opened(ledger, replace(STUDY, limits=Limits(memory=1 << 30)), 2)
        little = Offer(packages={}, memory=(1 << 30) - 1)
        assert ledger.tasks.claim("w", lease=LEASE, offer=little) is None
        assert ledger.tasks.claim("w", lease=LEASE, offer=Offer(packages={})) is not None
        assert ledger.tasks.claim("w", lease=LEASE, offer=replace(little, memory=1 << 30))

    def test_a_refit_needs_what_its_trial_did(self, ledger: Ledger) -> None:
        ledger.studies.open(replace(STUDY, needs={"cat": {"catboost": "1.2"}}))
        trial = Trial(number=0, family="cat", params={})
        ledger.tasks.add(STUDY.id, [NewTask(kind="refit", trials=(trial,))])
        assert ledger.tasks.claim("w", lease=LEASE, offer=Offer(packages={})) is None
        assert ledger.tasks.claim("w", lease=LEASE, offer=Offer(packages={"catboost": "1.2"}))

    def test_opening_again_with_other_needs_keeps_the_new_ones(self, ledger: Ledger) -> None:
        ledger.studies.open(replace(STUDY, needs={"f": {"p": "1"}}))
        again = ledger.studies.open(replace(STUDY, needs={"f": {"p": "2"}}))
        assert again.needs == {"f": {"p": "2"}}
        assert ledger.studies.get(STUDY.id) == again


class WorkersContract:
    def test_a_worker_that_was_seen_is_alive_until_it_is_gone(self, ledger: Ledger) -> None:
        before = ledger.now()
        ledger.workers.seen(WORKER, lease=LEASE)
        (alive,) = ledger.workers.alive()
        assert before <= alive.started == alive.seen <= ledger.now()
        assert alive == replace(WORKER, started=alive.started, seen=alive.seen)
        ledger.workers.gone("w")
        assert ledger.workers.alive() == ledger.workers.silent() == []

    def test_one_that_is_not_heard_of_is_silent(self, ledger: Ledger) -> None:
        ledger.workers.seen(WORKER, lease=0.001)
        ledger.workers.seen(replace(WORKER, name="v"), lease=LEASE)
        wait_until_past(ledger, ledger.now() + 0.002)
        assert [one.name for one in ledger.workers.alive()] == ["v"]
        assert [one.name for one in ledger.workers.silent()] == ["w"]
        ledger.workers.seen(WORKER, lease=LEASE)
        assert [one.name for one in ledger.workers.alive()] == ["w", "v"]

    def test_being_seen_again_soon_writes_nothing(self, ledger: Ledger) -> None:
        ledger.workers.seen(WORKER, lease=LEASE)
        first = ledger.workers.alive()
        ledger.workers.seen(replace(WORKER, used=5), lease=LEASE)
        assert ledger.workers.alive() == first
        ledger.workers.seen(replace(WORKER, used=5), lease=LEASE / 4)
        (again,) = ledger.workers.alive()
        assert again.used == 5
        assert again.started == first[0].started

    def test_who_is_gone_is_not_asked_to_leave_any_more(self, ledger: Ledger) -> None:
        ledger.workers.seen(WORKER, lease=LEASE)
        ledger.tasks.ask_to_leave(["w"])
        ledger.workers.gone("w")
        assert not ledger.tasks.is_leaving("w")


class SubjectsContract:
    def test_tasks_say_which_trials_they_are_about(self, ledger: Ledger) -> None:
        opened(ledger, STUDY, 2)
        ledger.tasks.add(STUDY.id, [task(2, 3), refit(1)])
        subjects = list(ledger.tasks.subjects(STUDY.id).values())
        assert subjects == [
            TaskSubject(kind="trials", trials=(0,)),
            TaskSubject(kind="trials", trials=(1,)),
            TaskSubject(kind="trials", trials=(2, 3)),
            TaskSubject(kind="refit", trials=(1,)),
        ]
        assert ledger.tasks.subjects("another") == {}

    def test_the_first_trials_that_have_ended_are_counted(self, ledger: Ledger) -> None:
        opened(ledger, STUDY, 3)
        for number in range(2):
            ledger.tasks.commit(must_claim(ledger), [done(number)])
        ended = [ledger.studies.ended(STUDY.id, below=below) for below in (0, 1, 2, 9)]
        assert ended == [0, 1, 2, 2]
        with pytest.raises(NotFound):
            ledger.studies.ended("another", below=1)


class CancelContract:
    RUN = Run(id="", study=STUDY.id, spec="{}")

    def test_a_cancelled_run_has_ended_and_its_trials_are_withdrawn(self, ledger: Ledger) -> None:
        opened(ledger, STUDY, 3)
        run = ledger.runs.take(ledger.runs.open(self.RUN).id, "h", lease=LEASE)
        claim = must_claim(ledger)
        ended = ledger.runs.cancel(run.id, "no longer wanted")
        assert (ended.state, ended.reason, ended.holder) == ("cancelled", "no longer wanted", None)
        assert ledger.runs.get(run.id) == ended
        assert ledger.tasks.claim("v", lease=LEASE) is None
        with pytest.raises(Lost):
            ledger.tasks.commit(claim, [done(0)])
        with pytest.raises(Lost, match="is cancelled by now"):
            ledger.runs.advance(run)
        assert ledger.runs.cancel(run.id, "again") == ended

    def test_what_another_run_wants_goes_on(self, ledger: Ledger) -> None:
        opened(ledger, STUDY, 3)
        run = ledger.runs.open(self.RUN)
        other = ledger.runs.open(replace(self.RUN, spec='{"promote": {}}'))
        ledger.runs.cancel(run.id, "")
        assert ledger.studies.counts(STUDY.id) == Counts(ready=3)
        ledger.runs.cancel(other.id, "")
        assert ledger.studies.counts(STUDY.id) == Counts()

    def test_asked_for_again_it_is_another_run_that_goes_on(self, ledger: Ledger) -> None:
        opened(ledger, STUDY, 3)
        run = ledger.runs.open(self.RUN)
        ledger.runs.cancel(run.id, "")
        ledger.studies.open(STUDY)
        again = ledger.runs.open(self.RUN)
        assert again.id != run.id
        assert ledger.studies.counts(STUDY.id) == Counts(ready=3)

    def test_what_is_put_in_for_a_run_that_was_cancelled_is_withdrawn(self, ledger: Ledger) -> None:
        """By a process that carried it and has yet to learn of it."""
        opened(ledger, STUDY, 3)
        run = ledger.runs.open(self.RUN)
        ledger.runs.cancel(run.id, "")
        opened(ledger, STUDY, 5)
        assert ledger.studies.counts(STUDY.id) == Counts(ready=3), "it was opened: see below"
        ledger.runs.open(self.RUN)
        assert ledger.studies.counts(STUDY.id) == Counts(ready=5)

    def test_what_no_run_wants_that_goes_on_is_withdrawn(self, ledger: Ledger) -> None:
        opened(ledger, STUDY, 5)
        run = ledger.runs.open(self.RUN)
        fewer = ledger.runs.open(replace(self.RUN, spec='{"search": {"trials": 2}}'))
        ledger.runs.cancel(run.id, "replaced")
        assert ledger.studies.counts(STUDY.id) == Counts(ready=2)
        opened(ledger, replace(STUDY, size=2), 7)
        assert ledger.studies.counts(STUDY.id) == Counts(ready=2)
        ledger.runs.open(self.RUN)
        assert ledger.studies.counts(STUDY.id) == Counts(ready=7)
        ledger.runs.cancel(fewer.id, "")
        assert ledger.studies.counts(STUDY.id) == Counts(ready=7)

    def test_the_refit_of_a_cancelled_run_is_withdrawn(self, ledger: Ledger) -> None:
        """Whether it is ready, in hand, or put in by a carrier that has yet to learn of it."""
        opened(ledger, STUDY, 1)
        run = ledger.runs.open(self.RUN)
        ledger.tasks.commit(must_claim(ledger), [done(0)])
        finish(ledger, size=1, best=0)
        ledger.tasks.add(STUDY.id, [refit(0), refit(1)])
        claim = must_claim(ledger)
        ledger.runs.cancel(run.id, "")
        assert ledger.studies.counts(STUDY.id) == Counts(done=1)
        with pytest.raises(Lost):
            ledger.tasks.commit_refit(claim, "c" * 64)
        ledger.tasks.add(STUDY.id, [refit(0), refit(2)])
        assert ledger.tasks.claim("v", lease=LEASE) is None
        assert ledger.tasks.refit(STUDY.id, 0) == (None, None)

    def test_the_refit_is_done_where_another_run_wants_it_or_the_same_is_asked_for_again(
        self, ledger: Ledger
    ) -> None:
        opened(ledger, STUDY, 1)
        run = ledger.runs.open(self.RUN)
        other = ledger.runs.open(replace(self.RUN, spec='{"promote": {}}'))
        ledger.tasks.commit(must_claim(ledger), [done(0)])
        finish(ledger, size=1, best=0)
        ledger.tasks.add(STUDY.id, [refit(0)])
        ledger.runs.cancel(run.id, "")
        assert ledger.studies.counts(STUDY.id) == Counts(ready=1, done=1)
        ledger.runs.cancel(other.id, "")
        assert ledger.studies.counts(STUDY.id) == Counts(done=1)
        ledger.runs.open(self.RUN)
        ledger.tasks.add(STUDY.id, [refit(0)])
        assert ledger.studies.counts(STUDY.id) == Counts(ready=1, done=1)
        ledger.tasks.commit_refit(must_claim(ledger), "c" * 64)
        assert ledger.tasks.refit(STUDY.id, 0) == ("c" * 64, None)

    def test_nothing_is_registered_or_judged_for_a_run_that_was_cancelled_or_is_anothers(
        self, ledger: Ledger
    ) -> None:
        ledger.studies.open(STUDY)
        run = ledger.runs.take(ledger.runs.open(self.RUN).id, "one", lease=LEASE)
        carrier = RunHolder(run=run.id, holder="one")
        judgement = Judgement(
            model="prices", version=1, champion=None, rows="r" * 64, verdict=VERDICT
        )
        first = ledger.versions.register(version(manifest="a"), carrier=carrier)
        with pytest.raises(Lost, match="is carried by 'one' by now, not 'two'"):
            ledger.versions.register(version(manifest="b"), carrier=replace(carrier, holder="two"))
        ledger.runs.cancel(run.id, "wrong data")
        with pytest.raises(Lost, match="is cancelled by now"):
            ledger.versions.register(version(manifest="b"), carrier=carrier)
        with pytest.raises(Lost, match="is cancelled by now"):
            ledger.versions.judge(judgement, carrier=carrier)
        with pytest.raises(Lost, match="is cancelled by now"):
            ledger.versions.promote(promotion(1, None), judgement, carrier=carrier)
        assert ledger.versions.all("prices") == [first]
        assert (ledger.versions.judgements("prices"), ledger.versions.history("prices")) == ([], [])
        assert ledger.versions.champion("prices") is None

    def test_one_that_is_done_stays_done(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        run = ledger.runs.take(ledger.runs.open(self.RUN).id, "h", lease=LEASE)
        finished = ledger.runs.advance(replace(run, state="done"))
        assert ledger.runs.cancel(run.id, "late") == finished

    def test_a_run_that_nobody_carries_is_an_orphan(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        run = ledger.runs.open(self.RUN)
        other = ledger.runs.open(replace(self.RUN, spec='{"other": 1}'))
        assert ledger.runs.orphans() == [run, other]
        ledger.runs.take(run.id, "h", lease=LEASE)
        assert ledger.runs.orphans() == [other]
        ledger.runs.cancel(other.id, "")
        assert ledger.runs.orphans() == []
        ledger.runs.release(run.id, "h")
        assert ledger.runs.orphans() == [run]
        ledger.runs.take(run.id, "h", lease=0.001)
        wait_until_past(ledger, ledger.now() + 0.002)
        assert [one.id for one in ledger.runs.orphans()] == [run.id]

    def test_an_unknown_run_is_refused(self, ledger: Ledger) -> None:
        with pytest.raises(NotFound):
            ledger.runs.cancel("nothing", "")


class FleetContract(
    TurnsContract, NeedsContract, WorkersContract, SubjectsContract, CancelContract
):
    """All of it."""
