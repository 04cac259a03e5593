"""What every ledger does. A test module of a ledger inherits LedgerContract and gives `ledger`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from fairlead.errors import Conflict, Invalid, Lost, NotFound
from fairlead.ledger.interface import MAX_AT_ONCE, MAX_FAULTS, MAX_LOST, Ledger
from fairlead.ledger.store import open_ledger
from fairlead.records import (
    Autoscaler,
    Basis,
    Claim,
    Completed,
    Counts,
    FleetWorker,
    Judgement,
    Limits,
    NewTask,
    Offer,
    Params,
    Promotion,
    Result,
    Schedule,
    Server,
    Study,
    Trial,
    Verdict,
    Version,
)

LEASE = 60.0
STUDY = Study(id="5" * 64, name="boston", spec='{"name": "boston"}', table="7" * 64, size=10)
VERDICT = Verdict(
    decision="promote",
    text="better by 0.1",
    against="champion v1",
    metric="mse",
    rows=101,
    judged=2,
    candidate=0.1 + 0.2,
    difference=1e-300,
)


def trial(number: int, **params: bool | float | str | None) -> Trial:
    return Trial(number=number, family="forest", params=params or {"leaf": number})


def task(*numbers: int) -> NewTask:
    return NewTask(kind="trials", trials=tuple(trial(number) for number in numbers))


def refit(number: int) -> NewTask:
    return NewTask(kind="refit", trials=(trial(number),))


def done(number: int, score: float = 1.0) -> Result:
    return Result(number=number, state="done", scores=(score, score), score=score, seconds=0.5)


def version(model: str = "prices", manifest: str = "a") -> Version:
    return Version(model=model, number=0, study=STUDY.id, trial=3, size=10, manifest=manifest * 64)


def promotion(number: int, previous: int | None, model: str = "prices") -> Promotion:
    return Promotion(
        model=model, number=0, version=number, previous=previous, kind="promote", why="it is good"
    )


def must_claim(ledger: Ledger, worker: str = "w", *, lease: float = LEASE) -> Claim:
    claim = ledger.tasks.claim(worker, lease=lease)
    assert claim is not None
    return claim


def finish(ledger: Ledger, *, size: int, best: int | None) -> None:
    of = ledger.studies.get(STUDY.id).size
    assert ledger.studies.finish(STUDY.id, of=of, size=size, best=best)


def wait_until_past(ledger: Ledger, moment: float) -> None:
    deadline = time.monotonic() + 10
    while ledger.now() <= moment:
        assert time.monotonic() < deadline


def commit_and_claim(
    ledger: Ledger, claim: Claim, results: Sequence[Result], *, lease: float = LEASE, **how: Any
) -> Claim | None:
    """Commit one attempt, and claim one task."""
    completed = [Completed(claim=claim, results=tuple(results))]
    following = ledger.tasks.commit_and_claim(completed, lease=lease, **how)
    assert len(following) <= 1
    return following[0] if following else None


def one_done(claim: Claim) -> Completed:
    return Completed(claim=claim, results=(done(claim.trials[0].number),))


def opened_with(ledger: Ledger, tasks: int) -> None:
    """A study with so many tasks of one trial."""
    ledger.studies.open(replace(STUDY, size=tasks))
    ledger.tasks.add(STUDY.id, [task(number) for number in range(tasks)])


def claimed_together(ledger: Ledger, most: int, *, of: int = 40) -> Sequence[Claim]:
    """Claims of a study, once one of its tasks is done."""
    opened_with(ledger, of)
    completed = [one_done(must_claim(ledger))]
    return ledger.tasks.commit_and_claim(completed, lease=LEASE, most=most)


def let_lease_end(ledger: Ledger, claim: Claim) -> None:
    ledger.tasks.heartbeat(claim, lease=0.001)
    wait_until_past(ledger, ledger.now() + 0.002)


def numbers(claims: Sequence[Claim]) -> list[int]:
    return [trial.number for claim in claims for trial in claim.trials]


class StudiesContract:
    """Studies and their trials."""

    def test_opening_a_study_twice_makes_one(self, ledger: Ledger) -> None:
        first = ledger.studies.open(STUDY)
        assert ledger.studies.open(STUDY) == first
        assert ledger.studies.all() == [first]

    def test_a_study_comes_back_as_it_was_given(self, ledger: Ledger) -> None:
        given = replace(
            STUDY, limits=Limits(seconds=1.5, memory=1 << 40), sources={"./f.py": "f" * 64}
        )
        before = ledger.now()
        opened = ledger.studies.open(given)
        assert before <= opened.created <= ledger.now()
        assert opened == replace(given, created=opened.created)
        assert ledger.studies.get(STUDY.id) == opened

    def test_studies_are_listed_the_newest_first(self, ledger: Ledger) -> None:
        for letter in "abc":
            ledger.studies.open(replace(STUDY, id=letter * 64))
        assert [study.id[0] for study in ledger.studies.all()] == ["c", "b", "a"]

    def test_a_study_is_found_by_its_name_or_by_the_beginning_of_its_id(
        self, ledger: Ledger
    ) -> None:
        ledger.studies.open(replace(STUDY, id="ab" * 32, name="one"))
        ledger.studies.open(replace(STUDY, id="ac" * 32, name="two"))
        assert ledger.studies.get("two").id == "ac" * 32
        assert ledger.studies.get("ab").id == "ab" * 32

    def test_a_name_stands_for_its_newest_study(self, ledger: Ledger) -> None:
        for letter in "ba":
            ledger.studies.open(replace(STUDY, id=letter * 64))
        assert ledger.studies.get("boston").id == "a" * 64

    def test_a_name_goes_before_the_beginning_of_an_id(self, ledger: Ledger) -> None:
        ledger.studies.open(replace(STUDY, id="1" * 64, name="cafe"))
        ledger.studies.open(replace(STUDY, id="cafe" * 16, name="other"))
        assert ledger.studies.get("cafe").id == "1" * 64

    def test_a_beginning_that_several_ids_share_is_refused(self, ledger: Ledger) -> None:
        for letter in "bc":
            ledger.studies.open(replace(STUDY, id="a" + letter * 63))
        with pytest.raises(NotFound, match="several"):
            ledger.studies.get("a")

    @pytest.mark.parametrize("words", ["", "bostom", "%", "_", "5_", "B"])
    def test_an_unknown_study_is_refused(self, ledger: Ledger, words: str) -> None:
        ledger.studies.open(STUDY)
        with pytest.raises(NotFound):
            ledger.studies.get(words)

    def test_a_refusal_names_the_nearest_name(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        with pytest.raises(NotFound, match="did you mean 'boston'"):
            ledger.studies.get("bostom")

    @pytest.mark.parametrize(
        "ask",
        [
            lambda ledger: ledger.studies.counts("nobody"),
            lambda ledger: ledger.studies.trials("nobody"),
            lambda ledger: ledger.studies.withdraw("nobody"),
            lambda ledger: ledger.studies.finish("nobody", of=1, size=1, best=0),
            lambda ledger: ledger.tasks.add("nobody", [task(0)]),
        ],
    )
    def test_what_is_asked_of_an_unknown_study_is_refused(
        self, ledger: Ledger, ask: Callable[[Ledger], object]
    ) -> None:
        with pytest.raises(NotFound, match="'nobody'"):
            ask(ledger)

    def test_counts_follow_every_change(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(1, 2), task(3)])
        assert ledger.studies.counts(STUDY.id) == Counts(ready=3)
        claims = [must_claim(ledger) for _ in range(2)]
        assert ledger.studies.counts(STUDY.id) == Counts(ready=1, running=2)
        ledger.tasks.commit(claims[0], [done(0)])
        pruned = Result(number=2, state="pruned", scores=(3.0,), reason="worse than the median")
        ledger.tasks.commit(claims[1], [Result(number=1, state="failed", reason="NaN"), pruned])
        assert ledger.studies.counts(STUDY.id) == Counts(ready=1, done=1, failed=1, pruned=1)

    def test_trials_are_listed_by_number_with_what_is_known(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(2, 0), task(1), task(3)])
        ledger.tasks.commit(must_claim(ledger), [done(2), done(0)])
        must_claim(ledger)
        rows = ledger.studies.trials(STUDY.id)
        assert [row.trial for row in rows] == [trial(number) for number in range(4)]
        assert [row.state for row in rows] == ["done", "running", "done", "waiting"]
        assert [row.result for row in rows] == [done(0), None, done(2), None]

    def test_a_trial_keeps_every_bit_and_the_order_of_its_parameters(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        params: Params = {"z": 0.1 + 0.2, "a": None, "m": True, "i": 3, "t": "näh", "f": 3.0}
        given = Trial(
            number=0,
            family="x",
            params=params,
            stop_beyond=(1 / 3, 1e300),
            stop_beyond_epoch=(2 / 3, 1e-300),
        )
        ledger.tasks.add(STUDY.id, [NewTask(kind="trials", trials=(given,))])
        (back,) = must_claim(ledger).trials
        assert back == given
        assert [(key, repr(value)) for key, value in back.params.items()] == [
            (key, repr(value)) for key, value in params.items()
        ]

    def test_results_come_in_order_of_commitment_and_only_once(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(number) for number in range(3)])
        claims = [must_claim(ledger) for _ in range(3)]
        for claim in (claims[2], claims[0]):
            ledger.tasks.commit(claim, [done(claim.trials[0].number, score=1 / 3)])
        found, mark = ledger.studies.results(STUDY.id)
        assert found == [done(2, 1 / 3), done(0, 1 / 3)]
        assert ledger.studies.results(STUDY.id, after=mark) == ([], mark)
        ledger.tasks.commit(claims[1], [done(1)])
        assert ledger.studies.results(STUDY.id, after=mark)[0] == [done(1)]

    def test_a_result_keeps_the_curve_that_it_came_with(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(1)])
        learned = replace(done(0), curve=(0.1 + 0.2, 1 / 3, 1e-300))
        for result in (learned, done(1)):
            ledger.tasks.commit(must_claim(ledger), [result])
        assert ledger.studies.results(STUDY.id)[0] == [learned, done(1)]
        assert [row.result for row in ledger.studies.trials(STUDY.id)] == [learned, done(1)]

    def test_a_study_does_not_see_the_results_of_another(self, ledger: Ledger) -> None:
        other = replace(STUDY, id="6" * 64)
        for study in (STUDY, other):
            ledger.studies.open(study)
            ledger.tasks.add(study.id, [task(0)])
        ledger.tasks.commit(must_claim(ledger), [done(0)])
        assert ledger.studies.results(other.id) == ([], 0)
        assert ledger.studies.counts(other.id) == Counts(ready=1)

    @pytest.mark.parametrize(
        "change",
        [
            {"id": ""},
            {"id": "../../x"},
            {"id": "a\nb"},
            {"name": ""},
            {"name": "/tmp/own"},
            {"name": "\x1b[2Jred"},
            {"name": "a\n"},
            {"size": 0},
            {"size": -1},
            {"size": 1 << 62},
            {"priority": 1001},
            {"priority": -1001},
        ],
        ids=repr,
    )
    def test_a_study_that_cannot_be_is_refused(
        self, ledger: Ledger, change: dict[str, str | int]
    ) -> None:
        with pytest.raises(Invalid, match="must"):
            ledger.studies.open(replace(STUDY, **change))  # type: ignore[arg-type] # of its fields
        assert ledger.studies.all() == []

    @pytest.mark.parametrize(
        "change",
        [
            {"table": "8" * 64},
            {"sources": {"./f.py:F": "f" * 64}},
            {"spec": '{"data": {"source": "b"}, "search": {"trials": 3, "folds": 5}}'},
            {"spec": '{"data": {"source": "a"}, "search": {"trials": 3, "folds": 4}}'},
            {"spec": "{junk"},
        ],
        ids=repr,
    )
    def test_another_study_is_not_opened_under_an_id_that_is_taken(
        self, ledger: Ledger, change: dict[str, str]
    ) -> None:
        spec = '{"data": {"source": "a"}, "search": {"trials": 3, "folds": 5}, "name": "boston"}'
        first = ledger.studies.open(replace(STUDY, spec=spec))
        with pytest.raises(Conflict, match="nothing was changed"):
            ledger.studies.open(replace(STUDY, size=20, **{"spec": spec} | change))  # type: ignore[arg-type] # of its fields
        assert ledger.studies.all() == [first]
        same = '{"data": {"source": "a"}, "search": {"trials": 9, "folds": 5}, "name": "prices"}'
        assert ledger.studies.open(replace(STUDY, spec=same, name="prices")) == first

    def test_fits_are_shared_as_the_last_spec_says(self, ledger: Ledger) -> None:
        def spec(name: str, workers: int) -> str:
            says = {"name": name, "data": {}, "search": {}, "train": {"workers": workers}}
            return json.dumps(says)

        ledger.studies.open(replace(STUDY, spec=spec("boston", 2)))
        again = ledger.studies.open(replace(STUDY, spec=spec("prices", 3)))
        assert json.loads(again.spec) == json.loads(spec("boston", 3))
        assert ledger.studies.get(STUDY.id) == again
        assert ledger.studies.open(replace(STUDY, spec=spec("boston", 3))) == again
        finish(ledger, size=1, best=None)
        finished = ledger.studies.open(replace(STUDY, spec=spec("boston", 4)))  # it may be refitted
        assert (finished.state, json.loads(finished.spec)["train"]) == ("finished", {"workers": 4})

    def test_a_priority_that_nobody_could_outdo_is_refused(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        with pytest.raises(Invalid, match="-1000 to 1000"):
            ledger.studies.prioritize(STUDY.id, 1 << 62)
        assert ledger.studies.get(STUDY.id).priority == 0

    def test_finishing_withdraws_ready_and_running_trials(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(number) for number in range(4)])
        ledger.tasks.commit(must_claim(ledger), [done(0)])
        late = must_claim(ledger)
        finish(ledger, size=1, best=0)
        with pytest.raises(Lost):
            ledger.tasks.commit(late, [done(1)])
        assert ledger.tasks.claim("w", lease=LEASE) is None
        assert ledger.studies.counts(STUDY.id) == Counts(done=1)
        study = ledger.studies.get(STUDY.id)
        assert (study.state, study.size, study.best) == ("finished", 1, 0)
        assert study.finished is not None

    def test_results_beyond_the_size_are_kept_but_not_listed(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0, 5), task(1)])
        ledger.tasks.commit(must_claim(ledger), [done(0), done(5)])
        finish(ledger, size=2, best=0)
        assert ledger.studies.results(STUDY.id)[0] == [done(0)]
        assert [row.trial.number for row in ledger.studies.trials(STUDY.id)] == [0, 1]
        assert ledger.studies.counts(STUDY.id) == Counts(done=1)
        ledger.studies.open(replace(STUDY, size=11))
        assert ledger.studies.results(STUDY.id)[0] == [done(0), done(5)]
        assert ledger.studies.counts(STUDY.id) == Counts(ready=1, done=2)

    def test_a_larger_size_makes_withdrawn_tasks_ready_again(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(number) for number in range(3)])
        must_claim(ledger)
        finish(ledger, size=1, best=None)
        reopened = ledger.studies.open(replace(STUDY, size=11))
        assert (reopened.state, reopened.size, reopened.finished) == ("searching", 11, None)
        claims = [must_claim(ledger) for _ in range(3)]
        assert numbers(claims) == [0, 1, 2]
        assert claims[0].attempt == 2

    def test_a_finished_study_stays_a_fact_when_opened_as_it_was_before(
        self, ledger: Ledger
    ) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(1)])
        finish(ledger, size=1, best=None)
        for size in (STUDY.size, 1, 3):
            opened = ledger.studies.open(replace(STUDY, size=size))
            assert (opened.state, opened.size) == ("finished", 1)
        assert ledger.tasks.claim("w", lease=LEASE) is None

    def test_finishing_twice_changes_nothing(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        finish(ledger, size=5, best=2)
        first = ledger.studies.get(STUDY.id)
        finish(ledger, size=5, best=2)
        assert ledger.studies.get(STUDY.id) == first
        assert [event.kind for event in ledger.studies.events(STUDY.id)] == ["opened", "finished"]

    def test_a_study_that_was_extended_meanwhile_is_not_finished_short(
        self, ledger: Ledger
    ) -> None:
        ledger.studies.open(STUDY)
        ledger.studies.open(replace(STUDY, size=11))
        assert not ledger.studies.finish(STUDY.id, of=STUDY.size, size=STUDY.size, best=0)
        study = ledger.studies.get(STUDY.id)
        assert (study.state, study.size) == ("searching", 11)

    def test_withdrawing_leaves_running_tasks_alone(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(number) for number in range(3)])
        running = must_claim(ledger)
        ledger.studies.withdraw(STUDY.id)
        assert ledger.tasks.claim("w", lease=LEASE) is None
        assert ledger.studies.counts(STUDY.id) == Counts(running=1)
        ledger.tasks.commit(running, [done(0)])
        assert ledger.studies.counts(STUDY.id) == Counts(done=1)

    def test_opening_a_search_that_was_withdrawn_goes_on_with_it(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(1)])
        ledger.studies.withdraw(STUDY.id)
        ledger.studies.open(STUDY)
        assert numbers([must_claim(ledger), must_claim(ledger)]) == [0, 1]

    def test_a_trial_has_the_time_of_its_last_attempt(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0, 1), task(2), task(3)])
        lost = must_claim(ledger)
        ledger.tasks.release(lost, "stopped")
        ledger.tasks.commit(must_claim(ledger), [done(0), done(1)])
        must_claim(ledger)
        spans = ledger.studies.spans(STUDY.id)
        assert [*spans] == [0, 1, 2]
        assert spans[0] == spans[1]
        at = {event.kind: event.at for event in ledger.studies.events(STUDY.id)}
        assert spans[1].ended == at["committed"]
        assert at["released"] <= spans[1].began <= at["committed"] <= spans[2].began
        assert spans[2].began == at["claimed"]
        assert spans[2].ended is None

    def test_the_history_tells_all_that_happened_to_attempts(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(1)])
        ledger.tasks.fault(must_claim(ledger, "one"), "it said no")
        ledger.tasks.release(must_claim(ledger, "two"), "drained")
        must_claim(ledger, "three")
        ledger.tasks.lose("three")
        ledger.tasks.commit(must_claim(ledger, "four"), [done(0)])
        must_claim(ledger, "five")
        finish(ledger, size=1, best=0)
        history = ledger.studies.events(STUDY.id)
        assert [(event.kind, event.worker, event.attempt, event.text) for event in history] == [
            ("opened", None, None, "10 trials"),
            ("claimed", "one", 1, ""),
            ("faulted", "one", 1, "it said no"),
            ("claimed", "two", 2, ""),
            ("released", "two", 2, "drained"),
            ("claimed", "three", 3, ""),
            ("lost", "three", 3, ""),
            ("claimed", "four", 4, ""),
            ("committed", "four", 4, ""),
            ("claimed", "five", 1, ""),
            ("withdrawn", "five", 1, ""),
            ("finished", None, None, "1 trials"),
        ]
        assert {event.study for event in history} == {STUDY.id}
        assert [event.at for event in history] == sorted(event.at for event in history)


class TasksContract:
    """Tasks and the attempts at them."""

    def test_the_oldest_task_is_claimed_first(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(2), task(0, 3), task(1)])
        assert numbers([must_claim(ledger) for _ in range(3)]) == [2, 0, 3, 1]

    def test_many_tasks_are_put_in_in_order_and_once(self, ledger: Ledger) -> None:
        ledger.studies.open(replace(STUDY, size=2500))
        for _ in range(2):
            ledger.tasks.add(STUDY.id, [task(number) for number in range(2500)])
        assert ledger.studies.counts(STUDY.id) == Counts(ready=2500)
        assert numbers([must_claim(ledger) for _ in range(3)]) == [0, 1, 2]

    def test_nothing_to_claim_is_none(self, ledger: Ledger) -> None:
        assert ledger.tasks.claim("w", lease=LEASE) is None
        assert ledger.tasks.claim("w", lease=LEASE, study=STUDY.id) is None

    def test_a_claim_says_what_is_to_be_done_and_until_when(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(4, 5)])
        before = ledger.now()
        claim = must_claim(ledger, "ann")
        assert (claim.study, claim.kind, claim.worker) == (STUDY.id, "trials", "ann")
        assert (claim.trials, claim.attempt) == ((trial(4), trial(5)), 1)
        assert before + LEASE <= claim.lease_ends <= ledger.now() + LEASE

    def test_a_worker_may_take_tasks_of_one_study_only(self, ledger: Ledger) -> None:
        other = replace(STUDY, id="6" * 64)
        for study in (STUDY, other):
            ledger.studies.open(study)
            ledger.tasks.add(study.id, [task(0)])
        claim = ledger.tasks.claim("w", lease=LEASE, study=other.id)
        assert claim is not None
        assert claim.study == other.id
        assert ledger.tasks.claim("w", lease=LEASE, study=other.id) is None
        assert (ledger.tasks.open(STUDY.id), ledger.tasks.open(other.id)) == (1, 1)
        assert ledger.tasks.open() == 2

    def test_adding_again_changes_nothing(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        for _ in range(2):
            ledger.tasks.add(STUDY.id, [task(0), task(1, 2)])
        assert ledger.studies.counts(STUDY.id) == Counts(ready=2)

    def test_a_task_brings_only_the_trials_that_are_new(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0, 2)])
        ledger.tasks.add(STUDY.id, [task(0, 1, 2, 3), task(3)])
        assert numbers([must_claim(ledger), must_claim(ledger)]) == [0, 2, 1, 3]
        assert ledger.tasks.claim("w", lease=LEASE) is None

    def test_nothing_is_added_by_an_empty_list(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [])
        assert ledger.studies.counts(STUDY.id) == Counts()

    def test_trials_beyond_the_size_or_the_end_of_a_study_wait(self, ledger: Ledger) -> None:
        ledger.studies.open(replace(STUDY, size=2))
        ledger.tasks.add(STUDY.id, [task(2)])
        finish(ledger, size=2, best=None)
        ledger.tasks.add(STUDY.id, [task(1)])
        assert ledger.tasks.claim("w", lease=LEASE) is None
        ledger.studies.open(replace(STUDY, size=3))
        assert numbers([must_claim(ledger), must_claim(ledger)]) == [2, 1]

    @pytest.mark.parametrize(
        "bad",
        [
            NewTask(kind="trials", trials=()),
            NewTask(kind="refit", trials=()),
            NewTask(kind="refit", trials=(trial(0), trial(1))),
            NewTask(kind="trials", trials=(trial(-1),)),
            NewTask(kind="trials", trials=(trial(1 << 62),)),
        ],
        ids=repr,
    )
    def test_tasks_that_nobody_could_do_are_refused(self, ledger: Ledger, bad: NewTask) -> None:
        ledger.studies.open(STUDY)
        with pytest.raises(Invalid, match="trial"):
            ledger.tasks.add(STUDY.id, [task(0), bad])
        assert ledger.studies.counts(STUDY.id) == Counts()

    @pytest.mark.parametrize("lease", [0.0, -1.0, 86_401.0, 1e300])
    def test_a_lease_is_above_0_and_at_most_a_day(self, ledger: Ledger, lease: float) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(1)])
        claim = must_claim(ledger, lease=86_400.0)
        for ask in (
            lambda: ledger.tasks.claim("w", lease=lease),
            lambda: ledger.tasks.heartbeat(claim, lease=lease),
            lambda: commit_and_claim(ledger, claim, [done(0)], lease=lease),
            lambda: ledger.workers.seen(
                FleetWorker(name="w", host="h", process=1, offer=Offer(packages={})), lease=lease
            ),
            lambda: ledger.servers.seen(Server(id="s", url="u", processes=1), lease=lease),
            lambda: ledger.deployments.take("s", lease=lease),
            lambda: ledger.runs.take("r", "h", lease=lease),
            lambda: ledger.schedules.take(Schedule(model="m", every=60.0), "h", lease=lease),
            lambda: ledger.autoscaling.take(Autoscaler(name="a", holder="h"), lease=lease),
        ):
            with pytest.raises(Invalid, match="at most a day"):
                ask()
        assert ledger.studies.counts(STUDY.id) == Counts(ready=1, running=1)
        assert [*ledger.workers.alive(), *ledger.workers.silent()] == []

    def test_tokens_rise_over_the_whole_ledger(self, ledger: Ledger) -> None:
        tokens = []
        for letter in "ab":
            study = replace(STUDY, id=letter * 64)
            ledger.studies.open(study)
            ledger.tasks.add(study.id, [task(0), task(1)])
        for _ in range(3):
            claims = [must_claim(ledger) for _ in range(4)]
            tokens += [claim.token for claim in claims]
            for claim in claims:
                ledger.tasks.release(claim, "")
        assert tokens == sorted(set(tokens))

    def test_a_task_whose_lease_ended_is_ready_again(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(1)])
        first = must_claim(ledger, "slow")
        let_lease_end(ledger, first)
        second = must_claim(ledger, "quick")
        assert (second.task, second.attempt) == (first.task, 2)
        assert second.token > first.token

    def test_a_heartbeat_keeps_the_task(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0)])
        claim = must_claim(ledger, lease=0.001)
        ledger.tasks.heartbeat(claim, lease=LEASE)
        wait_until_past(ledger, claim.lease_ends)
        assert ledger.tasks.claim("other", lease=LEASE) is None
        ledger.tasks.commit(claim, [done(0)])

    def test_a_late_result_that_nobody_overtook_counts(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0)])
        claim = must_claim(ledger)
        let_lease_end(ledger, claim)
        ledger.tasks.commit(claim, [done(0)])
        assert ledger.tasks.claim("other", lease=LEASE) is None
        assert ledger.studies.counts(STUDY.id) == Counts(done=1)

    @pytest.mark.parametrize(
        "write",
        [
            lambda ledger, claim: ledger.tasks.commit(claim, [done(0, score=99.0)]),
            lambda ledger, claim: commit_and_claim(
                ledger, claim, [done(0, score=99.0)], lease=LEASE
            ),
            lambda ledger, claim: ledger.tasks.heartbeat(claim, lease=LEASE),
            lambda ledger, claim: ledger.tasks.fault(claim, "late"),
            lambda ledger, claim: ledger.tasks.release(claim, "late"),
        ],
        ids=["commit", "commit and claim", "heartbeat", "fault", "release"],
    )
    def test_whatever_a_lost_attempt_writes_is_thrown_away(
        self, ledger: Ledger, write: Callable[[Ledger, Claim], object]
    ) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0)])
        late = must_claim(ledger, "late")
        let_lease_end(ledger, late)
        holder = must_claim(ledger, "holder")
        before = ledger.studies.events(STUDY.id)
        with pytest.raises(Lost, match="'holder' has the task"):
            write(ledger, late)
        assert ledger.studies.events(STUDY.id) == before
        ledger.tasks.commit(holder, [done(0)])
        with pytest.raises(Lost, match="the task is done"):
            write(ledger, late)
        assert ledger.studies.results(STUDY.id)[0] == [replace(done(0), attempts=2)]

    def test_a_result_cannot_be_committed_twice(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0)])
        claim = must_claim(ledger)
        ledger.tasks.commit(claim, [done(0)])
        with pytest.raises(Lost):
            ledger.tasks.commit(claim, [done(0)])
        assert ledger.studies.counts(STUDY.id) == Counts(done=1)

    def test_a_worker_commits_and_takes_the_next_task_at_once(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(1, 2), task(3)])
        first = must_claim(ledger, "ann")
        must_claim(ledger, "bob")
        second = commit_and_claim(ledger, first, [done(0)], lease=LEASE)
        assert second is not None
        assert (second.worker, second.trials, second.attempt) == ("ann", (trial(3),), 1)
        assert second.token > first.token
        assert second.lease_ends > ledger.now()
        assert ledger.studies.results(STUDY.id)[0] == [done(0)]
        assert ledger.studies.counts(STUDY.id) == Counts(running=2, done=1)
        kinds = [(event.kind, event.worker) for event in ledger.studies.events(STUDY.id)]
        assert kinds[-2:] == [("committed", "ann"), ("claimed", "ann")]
        assert commit_and_claim(ledger, second, [done(3)], lease=LEASE) is None
        assert ledger.studies.counts(STUDY.id) == Counts(running=1, done=2)

    def test_a_task_whose_lease_ended_is_the_next_one_too(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(1), task(2)])
        slow, quick = must_claim(ledger, "slow"), must_claim(ledger, "quick")
        let_lease_end(ledger, slow)
        following = commit_and_claim(ledger, quick, [done(1)], lease=LEASE)
        assert following is not None
        assert (following.task, following.attempt) == (slow.task, 2)

    def test_the_next_task_may_be_of_one_study_only(self, ledger: Ledger) -> None:
        other = replace(STUDY, id="6" * 64)
        for study in (other, STUDY):
            ledger.studies.open(study)
            ledger.tasks.add(study.id, [task(0)])
        mine = ledger.tasks.claim("w", lease=LEASE, study=STUDY.id)
        assert mine is not None
        assert commit_and_claim(ledger, mine, [done(0)], lease=LEASE, study=STUDY.id) is None
        assert ledger.studies.counts(other.id) == Counts(ready=1)

    def test_a_lost_attempt_takes_no_task_with_it_and_its_worker_may_claim(
        self, ledger: Ledger
    ) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(1)])
        late = must_claim(ledger, "late")
        ledger.tasks.lose("late")
        must_claim(ledger, "holder")
        with pytest.raises(Lost):
            commit_and_claim(ledger, late, [done(0)], lease=LEASE)
        assert ledger.studies.counts(STUDY.id) == Counts(ready=1, running=1)
        assert numbers([must_claim(ledger, "late")]) == [1]

    def test_several_are_committed_and_claimed_together(self, ledger: Ledger) -> None:
        claims = claimed_together(ledger, 3)
        assert numbers(claims) == [1, 2, 3]
        assert [claim.attempt for claim in claims] == [1, 1, 1]
        tokens = [claim.token for claim in claims]
        assert tokens == sorted({*tokens})
        completed = [one_done(claim) for claim in reversed(claims)]
        following = ledger.tasks.commit_and_claim(completed, lease=LEASE, most=2)
        assert numbers(following) == [4, 5]
        assert following[0].token > tokens[-1]
        found, mark = ledger.studies.results(STUDY.id)
        assert ([one.number for one in found], mark) == ([0, 3, 2, 1], 4)
        assert ledger.studies.counts(STUDY.id) == Counts(ready=34, running=2, done=4)
        kinds = [event.kind for event in ledger.studies.events(STUDY.id)]
        assert kinds[-5:] == [*["committed"] * 3, *["claimed"] * 2]
        for claim in following:
            ledger.tasks.heartbeat(claim, lease=LEASE)
            ledger.tasks.commit(claim, [done(claim.trials[0].number)])

    def test_never_more_than_a_bound_are_claimed_together(self, ledger: Ledger) -> None:
        assert len(claimed_together(ledger, 1000, of=500)) == MAX_AT_ONCE

    def test_enough_tasks_are_left_for_the_other_workers(self, ledger: Ledger) -> None:
        opened_with(ledger, 23)
        first = must_claim(ledger, "ann")
        must_claim(ledger, "bob")
        # 21 are ready: 4 for each of the 2 workers, for each that one of them takes.
        assert len(ledger.tasks.commit_and_claim([one_done(first)], lease=LEASE, most=16)) == 2

    def test_a_commit_may_claim_none(self, ledger: Ledger) -> None:
        opened_with(ledger, 2)
        completed = [one_done(must_claim(ledger))]
        assert list(ledger.tasks.commit_and_claim(completed, lease=LEASE, most=0)) == []
        assert ledger.studies.counts(STUDY.id) == Counts(ready=1, done=1)

    def test_a_task_that_was_attempted_before_is_claimed_alone(self, ledger: Ledger) -> None:
        opened_with(ledger, 40)
        first, second, third = (must_claim(ledger) for _ in range(3))
        ledger.tasks.release(first, "drained")
        alone = ledger.tasks.commit_and_claim([one_done(second)], lease=LEASE, most=4)
        assert [claim.attempt for claim in alone] == [2]
        ledger.tasks.commit(third, [done(2)])
        assert len(ledger.tasks.commit_and_claim([one_done(alone[0])], lease=LEASE, most=4)) == 4

    def test_a_task_of_another_family_or_study_is_claimed_alone(self, ledger: Ledger) -> None:
        urgent = replace(STUDY, id="6" * 64, priority=1, size=40)
        ledger.studies.open(replace(STUDY, size=41))
        other = [Trial(number=1 + n, family="other", params={}) for n in range(40)]
        of_other = [NewTask(kind="trials", trials=(one,)) for one in other]
        ledger.tasks.add(STUDY.id, [task(0), *of_other])
        completed = [one_done(must_claim(ledger))]
        [claim] = ledger.tasks.commit_and_claim(completed, lease=LEASE, most=4)
        assert claim.trials[0].family == "other"
        ledger.studies.open(urgent)
        ledger.tasks.add(urgent.id, [task(number) for number in range(40)])
        [claim] = ledger.tasks.commit_and_claim([one_done(claim)], lease=LEASE, most=4)
        assert claim.study == urgent.id
        assert ledger.studies.counts(STUDY.id) == Counts(ready=39, done=2)
        assert ledger.studies.counts(urgent.id) == Counts(ready=39, running=1)

    def test_one_that_is_lost_keeps_the_others_from_being_committed(self, ledger: Ledger) -> None:
        claims = claimed_together(ledger, 3)
        let_lease_end(ledger, claims[1])
        assert must_claim(ledger, "holder").task == claims[1].task
        before = ledger.studies.events(STUDY.id)
        completed = [one_done(claim) for claim in claims]
        with pytest.raises(Lost, match=f"task {claims[1].task} .*'holder' has the task"):
            ledger.tasks.commit_and_claim(completed, lease=LEASE, most=3)
        assert ledger.studies.events(STUDY.id) == before
        rest = [one_done(claims[0]), one_done(claims[2])]
        assert len(ledger.tasks.commit_and_claim(rest, lease=LEASE)) == 1

    def test_no_more_are_committed_together_than_are_claimed(self, ledger: Ledger) -> None:
        opened_with(ledger, 1)
        claim = must_claim(ledger)
        too_many = [one_done(claim)] * (MAX_AT_ONCE + 1)
        with pytest.raises(Invalid, match=f"at most {MAX_AT_ONCE} tasks"):
            ledger.tasks.commit_and_claim(too_many, lease=LEASE)
        assert ledger.studies.counts(STUDY.id).done == 0

    def test_what_is_committed_together_is_of_one_worker_and_study_and_once(
        self, ledger: Ledger
    ) -> None:
        opened_with(ledger, 2)
        other = replace(STUDY, id="6" * 64)
        ledger.studies.open(other)
        ledger.tasks.add(other.id, [task(0)])
        mine = ledger.tasks.claim("ann", lease=LEASE, study=STUDY.id)
        elsewhere = ledger.tasks.claim("ann", lease=LEASE, study=other.id)
        of_bob = ledger.tasks.claim("bob", lease=LEASE, study=STUDY.id)
        assert mine is not None
        assert elsewhere is not None
        assert of_bob is not None
        refused: list[tuple[type[Exception], list[Claim]]] = [
            (Invalid, []),
            (Invalid, [mine, of_bob]),
            (Invalid, [mine, elsewhere]),
            (Lost, [mine, mine]),
        ]
        for error, claims in refused:
            with pytest.raises(error):
                ledger.tasks.commit_and_claim([one_done(one) for one in claims], lease=LEASE)
        assert ledger.studies.counts(STUDY.id) == Counts(running=2)
        assert ledger.studies.counts(other.id) == Counts(running=1)

    def test_an_attempt_at_no_task_is_lost(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0)])
        claim = must_claim(ledger)
        with pytest.raises(Lost, match="no such task"):
            ledger.tasks.heartbeat(replace(claim, task=claim.task + 1), lease=LEASE)

    @pytest.mark.parametrize("given", [[], [0], [0, 1, 1], [0, 2]])
    def test_results_must_be_one_for_each_trial(self, ledger: Ledger, given: Sequence[int]) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0, 1)])
        claim = must_claim(ledger)
        results = [done(number) for number in given]
        with pytest.raises(Invalid, match="one result for each"):
            ledger.tasks.commit(claim, results)
        with pytest.raises(Invalid, match="one result for each"):
            commit_and_claim(ledger, claim, results, lease=LEASE)
        ledger.tasks.commit(claim, [done(1), done(0)])

    def test_a_result_says_how_many_attempts_it_took(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0)])
        ledger.tasks.release(must_claim(ledger), "drained")
        ledger.tasks.commit(must_claim(ledger), [done(0)])
        assert ledger.studies.results(STUDY.id)[0][0].attempts == 2

    def test_the_last_allowed_fault_fails_the_trial_with_its_reason(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(2)])
        last = [
            ledger.tasks.fault(must_claim(ledger), f"segmentation fault {number}")
            for number in range(MAX_FAULTS)
        ]
        assert last == [False] * (MAX_FAULTS - 1) + [True]
        reason = f"segmentation fault {MAX_FAULTS - 1} (after {MAX_FAULTS} attempts)"
        assert ledger.studies.results(STUDY.id)[0] == [
            Result(number=0, state="failed", reason=reason, attempts=MAX_FAULTS)
        ]
        assert ledger.studies.counts(STUDY.id) == Counts(ready=1, failed=1)
        assert numbers([must_claim(ledger)]) == [2]

    def test_a_fault_that_another_attempt_would_repeat_is_the_last(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(1, 2)])
        assert ledger.tasks.fault(must_claim(ledger), "wrong shape", final=True)
        assert ledger.studies.results(STUDY.id)[0] == [
            Result(number=0, state="failed", reason="wrong shape", attempts=1)
        ]
        assert not ledger.tasks.fault(must_claim(ledger), "wrong shape", final=True)
        ledger.tasks.commit(must_claim(ledger), [done(1)])
        assert ledger.tasks.fault(must_claim(ledger), "wrong shape", final=True)
        rows = ledger.studies.trials(STUDY.id)
        assert [row.state for row in rows] == ["failed", "done", "failed"]
        ledger.tasks.add(STUDY.id, [refit(1)])
        assert ledger.tasks.fault(must_claim(ledger), "no finite number", final=True)
        assert ledger.tasks.refit(STUDY.id, 1) == (None, "no finite number")

    def test_a_trial_that_spoils_a_shared_task_fails_alone(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0, 1, 2)])
        for _ in range(MAX_FAULTS):
            assert not ledger.tasks.fault(must_claim(ledger), "too long")
        assert ledger.studies.results(STUDY.id)[0] == []
        assert ledger.studies.counts(STUDY.id) == Counts(ready=3)
        for number in (0, 1):
            ledger.tasks.commit(must_claim(ledger), [done(number)])
        given_up = [ledger.tasks.fault(must_claim(ledger), "too long") for _ in range(MAX_FAULTS)]
        assert given_up == [False] * (MAX_FAULTS - 1) + [True]
        rows = ledger.studies.trials(STUDY.id)
        assert [row.state for row in rows] == ["done", "done", "failed"]
        assert rows[2].result is not None
        assert rows[2].result.attempts == 2 * MAX_FAULTS

    def test_ended_leases_and_releases_are_no_faults(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0)])
        for _ in range(MAX_FAULTS):
            must_claim(ledger)
            assert ledger.tasks.lose("w") == 1
            ledger.tasks.release(must_claim(ledger), "drained")
        assert not ledger.tasks.fault(must_claim(ledger), "first fault")

    def test_after_too_many_lost_workers_the_trial_fails(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0)])
        for _ in range(MAX_LOST):
            must_claim(ledger)
            ledger.tasks.lose("w")
        assert ledger.tasks.claim("w", lease=LEASE) is None
        [result] = ledger.studies.results(STUDY.id)[0]
        assert (result.state, result.attempts) == ("failed", MAX_LOST)
        assert "workers lost" in (result.reason or "")
        assert ledger.studies.counts(STUDY.id) == Counts(failed=1)

    def test_losing_a_worker_leaves_the_others_alone(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(1)])
        must_claim(ledger, "dead")
        alive = must_claim(ledger, "alive")
        assert ledger.tasks.lose("dead") == 1
        assert ledger.tasks.lose("dead") == 0
        ledger.tasks.commit(alive, [done(1)])
        assert numbers([must_claim(ledger)]) == [0]

    def test_a_refit_is_added_once_and_tells_what_it_came_to(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        assert ledger.tasks.refit(STUDY.id, 3) == (None, None)
        for _ in range(2):
            ledger.tasks.add(STUDY.id, [refit(3)])
        claim = must_claim(ledger)
        assert (claim.kind, claim.trials) == ("refit", (trial(3),))
        assert ledger.tasks.claim("w", lease=LEASE) is None
        assert ledger.tasks.refit(STUDY.id, 3) == (None, None)
        ledger.tasks.commit_refit(claim, "c" * 64)
        ledger.tasks.add(STUDY.id, [refit(3)])
        assert ledger.tasks.claim("w", lease=LEASE) is None
        assert ledger.tasks.refit(STUDY.id, 3) == ("c" * 64, None)
        assert ledger.studies.counts(STUDY.id) == Counts()

    def test_a_refit_runs_while_the_study_is_finished(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [refit(0)])
        finish(ledger, size=1, best=0)
        ledger.tasks.add(STUDY.id, [refit(1)])
        for number in (0, 1):
            claim = must_claim(ledger)
            ledger.tasks.commit_refit(claim, "c" * 64)
            assert ledger.tasks.refit(STUDY.id, number) == ("c" * 64, None)

    def test_a_refit_that_failed_keeps_its_reason_and_can_be_tried_again(
        self, ledger: Ledger
    ) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [refit(3)])
        for _ in range(MAX_FAULTS):
            ledger.tasks.fault(must_claim(ledger), "out of memory")
        why = f"out of memory (after {MAX_FAULTS} attempts)"
        assert ledger.tasks.refit(STUDY.id, 3) == (None, why)
        assert ledger.studies.counts(STUDY.id) == Counts()
        ledger.tasks.add(STUDY.id, [refit(3)])
        assert ledger.tasks.refit(STUDY.id, 3) == (None, None)
        ledger.tasks.commit_refit(must_claim(ledger), "c" * 64)
        assert ledger.tasks.refit(STUDY.id, 3) == ("c" * 64, None)

    def test_a_refit_takes_a_candidate_and_trials_take_results(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), refit(0)])
        search, last = must_claim(ledger), must_claim(ledger)
        with pytest.raises(Invalid):
            ledger.tasks.commit_refit(search, "c" * 64)
        with pytest.raises(Invalid):
            ledger.tasks.commit(last, [done(0)])

    @pytest.mark.parametrize(
        "write",
        [
            lambda ledger, claim: ledger.tasks.commit(claim, [done(7)]),
            lambda ledger, claim: commit_and_claim(ledger, claim, [done(7)], lease=LEASE),
            lambda ledger, claim: ledger.tasks.commit_refit(replace(claim, kind="refit"), "c" * 64),
        ],
        ids=["commit", "commit and claim", "commit a refit"],
    )
    def test_a_claim_that_says_another_task_commits_nothing(
        self, ledger: Ledger, write: Callable[[Ledger, Claim], object]
    ) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(7)])
        claim = must_claim(ledger)
        before = ledger.studies.events(STUDY.id)
        with pytest.raises(Invalid):
            write(ledger, replace(claim, trials=(trial(7),)))
        assert ledger.studies.events(STUDY.id) == before
        assert ledger.studies.results(STUDY.id)[0] == []
        assert ledger.studies.counts(STUDY.id) == Counts(ready=1, running=1)
        ledger.tasks.commit(claim, [done(0)])

    def test_what_an_attempt_comes_to_is_of_its_task_whatever_the_claim_says(
        self, ledger: Ledger
    ) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(1), task(2)])
        for _ in range(MAX_FAULTS):
            other = replace(must_claim(ledger), trials=(trial(1), trial(5)), attempt=99)
            ledger.tasks.fault(other, "no")
        ledger.tasks.commit(replace(must_claim(ledger), attempt=99), [done(1)])
        for _ in range(MAX_FAULTS):
            ledger.tasks.fault(replace(must_claim(ledger), kind="refit"), "no")
        found = {each.number: each for each in ledger.studies.results(STUDY.id)[0]}
        assert [(each.state, each.attempts) for each in found.values()] == [
            ("failed", MAX_FAULTS),
            ("done", 1),
            ("failed", MAX_FAULTS),
        ]
        assert [*found] == [0, 1, 2]
        attempts = [each.attempt for each in ledger.studies.events(STUDY.id)]
        assert 99 not in attempts
        assert ledger.studies.counts(STUDY.id) == Counts(done=1, failed=2)

    def test_a_refit_whose_worker_is_lost_is_given_to_another(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [refit(0)])
        late = must_claim(ledger, "dead")
        ledger.tasks.lose("dead")
        ledger.tasks.commit_refit(must_claim(ledger), "c" * 64)
        with pytest.raises(Lost):
            ledger.tasks.commit_refit(late, "d" * 64)
        assert ledger.tasks.refit(STUDY.id, 0) == ("c" * 64, None)


class VersionsContract:
    """Versions, judgements, promotions, the outbox and the roots."""

    def test_versions_are_numbered_within_their_model(self, ledger: Ledger) -> None:
        first = ledger.versions.register(version(manifest="a"))
        assert ledger.versions.register(version(manifest="b")).number == 2
        assert ledger.versions.register(version("other", manifest="a")).number == 1
        assert ledger.versions.get("prices", 1) == first
        assert [(v.model, v.number) for v in ledger.versions.all()] == [
            ("other", 1),
            ("prices", 1),
            ("prices", 2),
        ]
        assert [v.number for v in ledger.versions.all("prices")] == [1, 2]

    def test_the_same_manifest_keeps_its_number(self, ledger: Ledger) -> None:
        first = ledger.versions.register(version())
        assert ledger.versions.register(version()) == first
        assert ledger.versions.register(version(), seen=0) == first
        assert len(ledger.outbox.pending()) == 1

    def test_a_version_that_is_new_among_those_seen_is_refused_where_there_are_others(
        self, ledger: Ledger
    ) -> None:
        ledger.versions.register(version("other", manifest="a"))
        first = ledger.versions.register(version(manifest="a"), seen=0)
        with pytest.raises(Conflict, match="it has 1 by now, not 0"):
            ledger.versions.register(version(manifest="b"), seen=0)
        assert ledger.versions.all("prices") == [first]
        assert ledger.versions.register(version(manifest="b"), seen=1).number == 2

    def test_unknown_models_and_versions_are_refused(self, ledger: Ledger) -> None:
        with pytest.raises(NotFound, match="none has been registered"):
            ledger.versions.history("prices")
        ledger.versions.register(version())
        with pytest.raises(NotFound, match="models: 'prices'"):
            ledger.versions.get("price", 1)
        with pytest.raises(NotFound, match="it has 1 to 1"):
            ledger.versions.get("prices", 2)
        with pytest.raises(NotFound):
            ledger.versions.promote(promotion(2, None))
        with pytest.raises(NotFound):
            ledger.versions.judge(
                Judgement(model="prices", version=2, champion=None, rows="r", verdict=VERDICT)
            )
        assert ledger.versions.champion("prices") is None
        assert ledger.versions.history("prices") == []

    def test_a_promotion_changes_the_champion_and_enters_the_history(self, ledger: Ledger) -> None:
        for manifest in "ab":
            ledger.versions.register(version(manifest=manifest))
        first = ledger.versions.promote(replace(promotion(1, None), verdict=VERDICT))
        second = ledger.versions.promote(replace(promotion(2, 1), kind="gate"))
        assert ledger.versions.history("prices") == [first, second]
        assert (first.number, second.number, first.verdict) == (1, 2, VERDICT)
        assert first.at <= second.at <= ledger.now()
        assert ledger.versions.champion("prices") == ledger.versions.get("prices", 2)

    @pytest.mark.parametrize("previous", [None, 2])
    def test_of_two_promotions_at_once_one_wins(self, ledger: Ledger, previous: int | None) -> None:
        for manifest in "ab":
            ledger.versions.register(version(manifest=manifest))
        ledger.versions.promote(promotion(1, None))
        for entry, _, _ in ledger.outbox.pending():
            ledger.outbox.sent(entry)
        before = ledger.versions.history("prices")
        with pytest.raises(Conflict, match="version 1 by now"):
            ledger.versions.promote(promotion(2, previous))
        assert ledger.versions.champion("prices") == ledger.versions.get("prices", 1)
        assert ledger.versions.history("prices") == before
        assert ledger.outbox.pending() == []

    def test_a_promotion_and_the_judgement_it_rests_on_are_written_together_or_not_at_all(
        self, ledger: Ledger
    ) -> None:
        for manifest in "ab":
            ledger.versions.register(version(manifest=manifest))
        one, other = (
            Judgement(model="prices", version=n, champion=None, rows="r", verdict=VERDICT)
            for n in (1, 2)
        )
        ledger.versions.promote(promotion(1, None), one)
        with pytest.raises(Conflict):
            ledger.versions.promote(promotion(2, None), other)
        assert [replace(each, at=0.0) for each in ledger.versions.judgements("prices")] == [one]

    def test_a_promotion_over_nothing_expected_something_is_refused(self, ledger: Ledger) -> None:
        ledger.versions.register(version())
        with pytest.raises(Conflict, match="none by now"):
            ledger.versions.promote(promotion(1, 7))

    def test_a_judgement_whose_basis_is_outdated_is_thrown_away(self, ledger: Ledger) -> None:
        for manifest in "ab":
            ledger.versions.register(version(manifest=manifest))
        one, other = (
            Judgement(model="prices", version=n, champion=None, rows=f"{n}" * 64, verdict=VERDICT)
            for n in (1, 2)
        )
        basis = Basis(judgements=0, sample=b"")
        ledger.versions.judge(one, basis)
        with pytest.raises(Conflict, match="1 verdicts by now, not 0"):
            ledger.versions.judge(other, basis)
        with pytest.raises(Conflict, match="1 verdicts by now, not 0"):
            ledger.versions.promote(promotion(2, None), other, basis)
        assert [replace(each, at=0.0) for each in ledger.versions.judgements("prices")] == [one]
        assert (ledger.versions.champion("prices"), ledger.versions.history("prices")) == (None, [])
        assert list(ledger.versions.samples("prices")) == [one.rows]
        ledger.versions.promote(promotion(2, None), other, replace(basis, judgements=1))
        assert len(ledger.versions.judgements("prices")) == 2

    def test_samples_of_rows_are_kept_once_and_told_to_each_model_they_judged(
        self, ledger: Ledger
    ) -> None:
        for model in ("prices", "rents", "wages"):
            ledger.versions.register(version(model))
        for count, (model, rows) in enumerate([("prices", "r"), ("prices", "r"), ("prices", "s")]):
            ledger.versions.judge(
                Judgement(model=model, version=1, champion=None, rows=rows, verdict=VERDICT),
                Basis(judgements=count, sample=rows.encode()),
            )
        rents = Judgement(model="rents", version=1, champion=None, rows="r", verdict=VERDICT)
        ledger.versions.judge(rents, Basis(judgements=0, sample=b"r"))
        ledger.versions.judge(replace(rents, rows="t"))
        assert ledger.versions.samples("prices") == {"r": b"r", "s": b"s"}
        assert ledger.versions.samples("rents") == {"r": b"r"}
        assert ledger.versions.samples("wages") == {}

    def test_verdicts_are_kept_in_order_and_whole(self, ledger: Ledger) -> None:
        ledger.versions.register(version())
        given = [
            Judgement(
                model="prices",
                version=1,
                champion=champion,
                rows="r" * 64,
                verdict=replace(VERDICT, judged=judged),
            )
            for champion, judged in [(None, 1), (1, 2)]
        ]
        for judgement in given:
            ledger.versions.judge(judgement)
        kept = ledger.versions.judgements("prices")
        assert [replace(judgement, at=0.0) for judgement in kept] == given
        assert all(0 < judgement.at <= ledger.now() for judgement in kept)

    def test_a_version_s_last_verdict_is_its_own(self, ledger: Ledger) -> None:
        for manifest in "ab":
            ledger.versions.register(version(manifest=manifest))
        assert ledger.versions.last_judgement("prices", 1) is None
        for number, judged in [(1, 1), (1, 2), (2, 3)]:
            ledger.versions.judge(
                Judgement(
                    model="prices",
                    version=number,
                    champion=None,
                    rows="r",
                    verdict=replace(VERDICT, judged=judged),
                )
            )
        kept = ledger.versions.judgements("prices")
        assert ledger.versions.last_judgement("prices", 1) == kept[1]
        assert ledger.versions.last_judgement("prices", 2) == kept[2]
        assert ledger.versions.last_judgement("rents", 1) is None

    def test_the_outbox_hears_of_versions_and_champions_in_order(self, ledger: Ledger) -> None:
        ledger.versions.register(version())
        ledger.versions.promote(promotion(1, None))
        (first, kind, payload), second = ledger.outbox.pending()
        assert (kind, payload) == (
            "version",
            {"model": "prices", "version": 1, "study": STUDY.id, "manifest": "a" * 64},
        )
        assert second[1:] == ("champion", {"model": "prices", "version": 1})
        assert [entry for entry, _, _ in ledger.outbox.pending(limit=1)] == [first]
        ledger.outbox.sent(first)
        ledger.outbox.sent(first)
        assert ledger.outbox.pending() == [second]

    def test_an_outbox_entry_is_never_named_as_one_that_has_gone(self, ledger: Ledger) -> None:
        ledger.versions.register(version(manifest="a"))
        ((first, _, _),) = ledger.outbox.pending()
        ledger.outbox.sent(first)
        ledger.versions.register(version(manifest="b"))
        ledger.outbox.sent(first)
        assert len(ledger.outbox.pending()) == 1

    def test_the_roots_are_every_digest_that_a_row_names(self, ledger: Ledger) -> None:
        ledger.studies.open(replace(STUDY, sources={"./f.py": "f" * 64}))
        ledger.tasks.add(STUDY.id, [refit(0), refit(1)])
        ledger.tasks.commit_refit(must_claim(ledger), "c" * 64)
        ledger.versions.register(version(manifest="a"))
        assert sorted(ledger.roots.digests()) == [letter * 64 for letter in "7acf"]


class OpenedByLocation:
    """Needs the fixture `location`: the URL of a ledger that nobody has opened yet."""

    @pytest.fixture
    def ledger(self, location: str) -> Iterator[Ledger]:
        with open_ledger(location) as opened:
            yield opened


class LedgerContract(OpenedByLocation, StudiesContract, TasksContract, VersionsContract):
    """All of it, as one thread sees it."""
