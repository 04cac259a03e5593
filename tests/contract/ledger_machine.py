"""Random interleavings of what several workers and coordinators do, against a model of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fairlead.errors import Lost
from fairlead.ledger.interface import MAX_FAULTS, MAX_LOST, Ledger
from fairlead.records import Claim, Counts, NewTask, Result, Study, Trial
from tests.contract.ledger_contract import LEASE, STUDY, commit_and_claim, finish, let_lease_end

WORKERS = ("ann", "bob", "cy")


@dataclass
class Known:
    """What the model knows of a task."""

    trials: tuple[int, ...]
    state: str = "ready"
    attempts: int = 0
    faults: int = 0
    lost: int = 0
    holder: Claim | None = None
    ended: bool = False  # the holder's lease


@dataclass
class Model:
    """What the ledger should hold."""

    size: int = STUDY.size
    searching: bool = True
    tasks: list[Known] = field(default_factory=list)
    results: dict[int, str] = field(default_factory=dict)

    def claimable(self) -> Known | None:
        """The oldest task that a claim should give; leases that ended count first."""
        for task in self.tasks:
            if task.state == "running" and task.ended:
                self.lose(task)
        return next((task for task in self.tasks if task.state == "ready"), None)

    def lose(self, task: Known) -> None:
        task.lost += 1
        self.give_up(task) if task.lost >= MAX_LOST else self.end(task, "ready")

    def give_up(self, task: Known) -> bool:
        """Fail the task's trial; several get a task each instead."""
        if len(task.trials) == 1:
            self.end(task, "failed")
            return True
        others = [Known(trials=(number,), attempts=task.attempts) for number in task.trials[1:]]
        self.tasks.extend(others)
        task.trials, task.faults, task.lost = task.trials[:1], 0, 0
        self.end(task, "ready")
        return False

    def end(self, task: Known, state: str) -> None:
        task.state, task.holder, task.ended = state, None, False
        if state == "failed":
            self.results |= dict.fromkeys(task.trials, "failed")

    def counts(self) -> Counts:
        tasks = Counter(task.state for task in self.tasks)
        listed = Counter(state for number, state in self.results.items() if number < self.size)
        return Counts(ready=tasks["ready"], running=tasks["running"], **listed)


class LedgerMachine(RuleBasedStateMachine):
    """Inherited by the test of each ledger, which says how to `open` an empty one."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = self.open()
        self.model = Model()
        self.claims: list[Claim] = []
        self.token = 0
        self.ledger.studies.open(STUDY)

    def open(self) -> Ledger:
        raise NotImplementedError

    def teardown(self) -> None:
        self.ledger.__exit__(None, None, None)

    @rule(numbers=st.lists(st.integers(0, 14), min_size=1, max_size=3, unique=True))
    def add(self, numbers: list[int]) -> None:
        trials = tuple(Trial(number=number, family="f", params={}) for number in numbers)
        self.ledger.tasks.add(STUDY.id, [NewTask(kind="trials", trials=trials)])
        known = {number for task in self.model.tasks for number in task.trials}
        fresh = tuple(number for number in numbers if number not in known)
        if fresh:
            wanted = self.model.searching and max(fresh) < self.model.size
            self.model.tasks.append(Known(trials=fresh, state="ready" if wanted else "withdrawn"))

    @rule(worker=st.sampled_from(WORKERS))
    def claim(self, worker: str) -> None:
        self.take_in(self.ledger.tasks.claim(worker, lease=LEASE))

    def take_in(self, claim: Claim | None) -> None:
        """Hold what was just claimed against the model."""
        expected = self.model.claimable()
        if expected is None:
            assert claim is None
            return
        assert claim is not None
        assert tuple(trial.number for trial in claim.trials) == expected.trials
        assert claim.token > self.token
        expected.attempts += 1
        assert claim.attempt == expected.attempts
        expected.state, expected.holder, self.token = "running", claim, claim.token
        self.claims.append(claim)

    @precondition(lambda self: self.claims)
    @rule(
        data=st.data(),
        state=st.sampled_from(["done", "failed", "pruned"]),
        then_claim=st.booleans(),
    )
    def commit(self, data: st.DataObject, state: str, *, then_claim: bool) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        results = [
            Result(number=trial.number, state=state)  # type: ignore[arg-type]
            for trial in claim.trials
        ]
        task = self.held(claim)
        if task is None:
            with pytest.raises(Lost):
                self.commits(claim, results, then_claim=then_claim)
            return
        following = self.commits(claim, results, then_claim=then_claim)
        assert not set(task.trials) & set(self.model.results)
        self.model.results |= dict.fromkeys(task.trials, state)
        self.model.end(task, "done")
        if then_claim:
            self.take_in(following)

    def commits(self, claim: Claim, results: list[Result], *, then_claim: bool) -> Claim | None:
        if then_claim:
            return commit_and_claim(self.ledger, claim, results, lease=LEASE)
        self.ledger.tasks.commit(claim, results)
        return None

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def fault(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        task = self.held(claim)
        if task is None:
            with pytest.raises(Lost):
                self.ledger.tasks.fault(claim, "no")
            return
        task.faults += 1
        if task.faults >= MAX_FAULTS:
            assert self.ledger.tasks.fault(claim, "no") == self.model.give_up(task)
        else:
            assert not self.ledger.tasks.fault(claim, "no")
            self.model.end(task, "ready")

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        task = self.held(claim)
        if task is None:
            with pytest.raises(Lost):
                self.ledger.tasks.release(claim, "drained")
            return
        self.ledger.tasks.release(claim, "drained")
        self.model.end(task, "ready")

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def end_lease(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        task = self.held(claim)
        if task is not None:
            let_lease_end(self.ledger, claim)
            task.ended = True

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def heartbeat(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        task = self.held(claim)
        if task is None:
            with pytest.raises(Lost):
                self.ledger.tasks.heartbeat(claim, lease=LEASE)
            return
        self.ledger.tasks.heartbeat(claim, lease=LEASE)
        task.ended = False

    @rule(worker=st.sampled_from(WORKERS))
    def lose(self, worker: str) -> None:
        held = [task for task in self.model.tasks if task.holder and task.holder.worker == worker]
        assert self.ledger.tasks.lose(worker) == len(held)
        for task in held:
            self.model.lose(task)

    @rule()
    def withdraw(self) -> None:
        self.ledger.studies.withdraw(STUDY.id)
        for task in self.model.tasks:
            if task.state == "ready":
                task.state = "withdrawn"

    @rule(size=st.integers(0, 14))
    def finish(self, size: int) -> None:
        finish(self.ledger, size=size, best=None)
        self.model.searching, self.model.size = False, size
        for task in self.model.tasks:
            if task.state in ("ready", "running"):
                self.model.end(task, "withdrawn")

    @rule(more=st.integers(0, 2))
    def open_again(self, more: int) -> None:
        self.asked = getattr(self, "asked", STUDY.size)
        study: Study = self.ledger.studies.open(replace(STUDY, size=self.asked + more))
        if more:
            self.asked += more
            self.model.searching, self.model.size = True, self.asked
        if self.model.searching:
            for task in self.model.tasks:
                if task.state == "withdrawn" and max(task.trials) < self.model.size:
                    task.state = "ready"
        assert (study.state == "searching", study.size) == (
            self.model.searching,
            self.model.size,
        )

    @invariant()
    def counters_are_what_a_recount_gives(self) -> None:
        counts = self.ledger.studies.counts(STUDY.id)
        assert counts == self.model.counts()
        rows = Counter(row.state for row in self.ledger.studies.trials(STUDY.id))
        assert (rows["done"], rows["failed"], rows["pruned"]) == (
            counts.done,
            counts.failed,
            counts.pruned,
        )
        assert self.ledger.tasks.open(STUDY.id) == counts.ready + counts.running

    @invariant()
    def every_trial_has_at_most_one_result(self) -> None:
        results, _ = self.ledger.studies.results(STUDY.id)
        found = {result.number: result.state for result in results}
        assert len(found) == len(results)
        assert found == {
            number: state
            for number, state in self.model.results.items()
            if number < self.model.size
        }

    def held(self, claim: Claim) -> Known | None:
        return next((task for task in self.model.tasks if task.holder == claim), None)
