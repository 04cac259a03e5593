"""What every ledger does with runs. Inherited by the test of each ledger, which gives `ledger`."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from fairlead.errors import Lost, NotFound
from fairlead.ledger.interface import Ledger
from fairlead.records import NewTask, Run, Study, Trial, Verdict

LEASE = 60.0
STUDY = Study(id="6" * 16, name="boston", spec="{}", table="7" * 64, size=10)
RUN = Run(id="", study=STUDY.id, spec='{"name": "boston"}')
VERDICT = Verdict(
    decision="keep", text="kept", against="champion v1", metric="mse", rows=40, judged=2
)


def opened(ledger: Ledger, run: Run = RUN) -> Run:
    ledger.studies.open(STUDY)
    return ledger.runs.open(run)


def held(ledger: Ledger, by: str = "one", *, lease: float = LEASE) -> Run:
    return ledger.runs.take(opened(ledger).id, by, lease=lease)


class RunsContract:
    def test_a_run_begins_with_the_search_and_is_held_by_nobody(self, ledger: Ledger) -> None:
        run = opened(ledger)
        assert (run.study, run.spec, run.stage, run.state) == (
            STUDY.id,
            RUN.spec,
            "search",
            "running",
        )
        assert (run.version, run.verdict, run.holder) == (None, None, None)
        assert ledger.runs.get(run.id) == run

    def test_the_same_request_finds_the_run_that_goes_on(self, ledger: Ledger) -> None:
        run = opened(ledger)
        assert ledger.runs.open(RUN) == run
        others = [
            ledger.runs.open(replace(RUN, spec="{}")),
            ledger.runs.open(replace(RUN, deploy=True)),
        ]
        assert len({run.id, *(other.id for other in others)}) == 3
        assert list(ledger.runs.all()) == [*reversed(others), run]
        assert list(ledger.runs.all(STUDY.id)) == [*reversed(others), run]
        assert list(ledger.runs.all("another")) == []

    def test_after_a_run_has_ended_the_same_request_is_another(self, ledger: Ledger) -> None:
        run = held(ledger)
        ledger.runs.advance(replace(run, state="done"))
        again = ledger.runs.open(RUN)
        assert again.id != run.id
        assert again.state == "running"

    def test_a_run_of_no_study_is_refused(self, ledger: Ledger) -> None:
        with pytest.raises(NotFound):
            ledger.runs.open(RUN)
        with pytest.raises(NotFound):
            ledger.runs.get("unknown")
        with pytest.raises(NotFound):
            ledger.runs.take("unknown", "one", lease=LEASE)

    def test_one_process_holds_it(self, ledger: Ledger) -> None:
        run = held(ledger)
        assert run.holder == "one"
        assert ledger.runs.take(run.id, "two", lease=LEASE).holder == "one"
        assert ledger.runs.take(run.id, "one", lease=LEASE).holder == "one"

    def test_another_takes_it_once_it_is_released_or_the_lease_has_ended(
        self, ledger: Ledger
    ) -> None:
        run = held(ledger)
        ledger.runs.release(run.id, "two")  # who does not hold it
        assert ledger.runs.get(run.id).holder == "one"
        ledger.runs.release(run.id, "one")
        assert ledger.runs.take(run.id, "two", lease=0.05).holder == "two"
        deadline = time.monotonic() + 30
        while ledger.runs.take(run.id, "three", lease=LEASE).holder != "three":
            assert time.monotonic() < deadline
        with pytest.raises(Lost, match="is carried by 'three' by now, not 'two'"):
            ledger.runs.advance(replace(run, holder="two", stage="refit"))
        assert ledger.runs.get(run.id).stage == "search"

    def test_what_is_advanced_is_kept(self, ledger: Ledger) -> None:
        run = held(ledger)
        run = ledger.runs.advance(replace(run, stage="judge", version=3))
        assert (run.stage, run.version, run.holder) == ("judge", 3, "one")
        run = ledger.runs.advance(replace(run, stage="deploy", verdict=VERDICT))
        assert ledger.runs.get(run.id).verdict == VERDICT
        run = ledger.runs.advance(replace(run, state="failed", reason="because"))
        assert (run.state, run.reason, run.holder) == ("failed", "because", None)

    def test_a_run_that_has_ended_is_taken_and_changed_by_nobody(self, ledger: Ledger) -> None:
        run = held(ledger)
        ledger.runs.advance(replace(run, state="done"))
        assert ledger.runs.take(run.id, "one", lease=LEASE).holder is None
        with pytest.raises(Lost, match="is done by now"):
            ledger.runs.advance(replace(run, stage="refit"))

    def test_a_worker_that_is_asked_to_leave_finishes_its_task_and_gets_no_other(
        self, ledger: Ledger
    ) -> None:
        ledger.studies.open(STUDY)
        trials = [Trial(number=number, family="forest", params={}) for number in range(3)]
        ledger.tasks.add(STUDY.id, [NewTask(kind="trials", trials=(one,)) for one in trials])
        claim = ledger.tasks.claim("leaving", lease=LEASE)
        assert claim is not None
        assert not ledger.tasks.is_leaving("leaving")
        ledger.tasks.ask_to_leave(["leaving"])
        ledger.tasks.ask_to_leave(["leaving"])
        assert ledger.tasks.is_leaving("leaving")
        assert not ledger.tasks.is_leaving("other")
        ledger.tasks.heartbeat(claim, lease=LEASE)
        assert ledger.tasks.claim("leaving", lease=LEASE) is None
        assert ledger.tasks.claim("leaving", lease=LEASE, study=STUDY.id) is None
        assert ledger.tasks.claim("other", lease=LEASE) is not None
        assert ledger.tasks.lose("leaving") == 1
        assert not ledger.tasks.is_leaving("leaving")
