"""What a worker does next, as a table of what it sees."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.ledger.interface import MAX_AT_ONCE
from fairlead.records import FitProgress, Limits, Result
from fairlead.worker import decide
from fairlead.worker.decide import Attempt, Observation
from fairlead.worker.messages import (
    Began,
    FitProgressed,
    Raised,
    Refitted,
    StudyReady,
    TrialsScored,
)
from fairlead.worker.process import newer

NONE = Limits()
SCORED = TrialsScored(token=7, results=(Result(number=0, state="done", scores=(1.0,), score=1.0),))


def attempt(*, began: float | None = 0.0, limits: Limits = NONE) -> Attempt:
    return Attempt(token=7, sent=0.0, began=began, extended=0.0, lease=9.0, limits=limits)


def test_a_worker_claims_once_its_child_is_ready() -> None:
    assert decide.until_ready(0.0, Observation(now=1)) == decide.Wait(seconds=decide.START - 1)
    ready = Observation(now=1, answer=StudyReady(study="s"))
    assert decide.until_ready(0.0, ready) == decide.Proceed(ready=True)


def test_what_cannot_be_opened_ahead_is_left_for_a_task_to_say() -> None:
    raised = Observation(now=1, answer=Raised(token=0, reason="no such file"))
    assert decide.until_ready(0.0, raised) == decide.Proceed()


@pytest.mark.parametrize(
    "observed",
    [
        Observation(now=1, exit_status=-signal.SIGSEGV),
        Observation(now=1, closed=True),
        Observation(now=1, stop_after_task=True),
        Observation(now=1, answer=Began(token=0)),
        Observation(now=decide.START + 1),
    ],
    ids=["dead", "closed", "told to stop", "answers something else", "too late"],
)
def test_a_child_that_will_not_be_ready_is_replaced(observed: Observation) -> None:
    assert decide.until_ready(0.0, observed) == decide.Proceed(replace=True)


def test_that_a_child_is_ready_is_no_answer_to_a_task() -> None:
    step = decide.next_step(attempt(), Observation(now=1, answer=StudyReady(study="s")))
    assert isinstance(step, decide.ReportFault)


def test_results_are_committed() -> None:
    assert decide.next_step(attempt(), Observation(now=1, answer=SCORED)) == decide.CommitResult(
        answer=SCORED
    )


def test_a_refit_is_committed() -> None:
    answer = Refitted(token=7, candidate="ab")
    assert decide.next_step(attempt(), Observation(now=1, answer=answer)) == decide.CommitResult(
        answer=answer
    )


def test_results_that_are_there_are_committed_even_when_told_to_stop() -> None:
    observed = Observation(now=1, answer=SCORED, stop_after_task=True, stop_now=True)
    assert decide.next_step(attempt(), observed) == decide.CommitResult(answer=SCORED)


def test_who_is_told_to_stop_after_its_task_goes_on_with_it() -> None:
    assert isinstance(
        decide.next_step(attempt(), Observation(now=1, stop_after_task=True)), decide.Wait
    )


def test_who_is_told_to_stop_after_its_task_leaves_a_fit_that_has_a_checkpoint() -> None:
    kept = decide.KeptCheckpoint(digest="ab", seen=0.0)
    step = decide.next_step(replace(attempt(), kept=kept), Observation(now=1, stop_after_task=True))
    assert step == decide.Release(
        reason="the worker was told to stop; the fit goes on from its checkpoint"
    )
    assert isinstance(
        decide.next_step(replace(attempt(), kept=kept), Observation(now=1)), decide.Wait
    )


def test_an_answer_to_another_task_is_no_answer() -> None:
    stale = TrialsScored(token=6, results=SCORED.results)
    step = decide.next_step(attempt(), Observation(now=1, answer=stale))
    assert isinstance(step, decide.ReportFault)
    assert step.replace


def test_a_child_that_closed_its_end_and_lives_is_replaced() -> None:
    step = decide.next_step(attempt(), Observation(now=1, closed=True))
    assert step == decide.ReportFault(reason="closed the connection to its worker", replace=True)


def test_a_signal_without_a_name_is_a_fault_too() -> None:
    step = decide.next_step(attempt(), Observation(now=1, exit_status=-40))
    assert step == decide.ReportFault(reason="killed by signal 40", replace=True)


def test_an_exception_is_a_fault_and_the_child_may_go_on() -> None:
    step = decide.next_step(
        attempt(), Observation(now=1, answer=Raised(token=7, reason="ValueError: no"))
    )
    assert step == decide.ReportFault(reason="ValueError: no", replace=False)


def test_what_another_attempt_would_raise_too_is_the_last_fault() -> None:
    raised = Raised(token=7, reason="wrong shape", final=True)
    step = decide.next_step(attempt(), Observation(now=1, answer=raised))
    assert step == decide.ReportFault(reason="wrong shape", replace=False, final=True)


def test_a_store_that_does_not_answer_is_no_fault_of_the_task() -> None:
    raised = Raised(token=7, reason="no answer in time", transient=True)
    step = decide.next_step(attempt(), Observation(now=1, answer=raised))
    assert step == decide.GiveBack(reason="no answer in time")


def test_a_signal_of_its_own_is_a_fault_that_names_it_and_what_was_printed_last() -> None:
    observed = Observation(now=1, exit_status=-signal.SIGSEGV, last_line="about to crash")
    step = decide.next_step(attempt(), observed)
    assert step == decide.ReportFault(
        reason="killed by SIGSEGV; it last printed: about to crash", replace=True
    )


def test_an_exit_status_is_a_fault() -> None:
    step = decide.next_step(attempt(), Observation(now=1, exit_status=7))
    assert step == decide.ReportFault(reason="ended its process with status 7", replace=True)


def test_a_child_killed_from_outside_is_no_fault_of_the_task() -> None:
    for number in (signal.SIGKILL, signal.SIGTERM):
        assert (
            decide.next_step(attempt(), Observation(now=1, exit_status=-number))
            == decide.ReportLost()
        )


def test_told_to_stop_at_once_the_task_goes_back() -> None:
    assert isinstance(
        decide.next_step(attempt(), Observation(now=1, stop_now=True)), decide.Release
    )


def test_the_time_limit_counts_from_when_the_child_began() -> None:
    limits = Limits(seconds=2.0)
    late = decide.next_step(attempt(began=10.0, limits=limits), Observation(now=12.1))
    assert late == decide.ReportFault(reason="over its time limit of 2 s", replace=True)
    loading = attempt(began=None, limits=limits)
    assert not isinstance(decide.next_step(loading, Observation(now=12.1)), decide.ReportFault)


def test_a_child_that_never_begins_is_replaced() -> None:
    step = decide.next_step(attempt(began=None), Observation(now=decide.START + 1))
    assert step == decide.ReportFault(reason="did not begin within 300 s", replace=True)


def test_the_time_begins_when_the_child_says_so() -> None:
    step = decide.next_step(attempt(began=None), Observation(now=1, answer=Began(token=7)))
    assert step == decide.MarkBegun()


def test_too_much_memory_is_a_fault() -> None:
    limits = Limits(memory=512 << 20)
    step = decide.next_step(attempt(limits=limits), Observation(now=1, memory=513 << 20))
    assert step == decide.ReportFault(reason="over its memory limit of 512 MiB", replace=True)
    within = decide.next_step(attempt(limits=limits), Observation(now=1, memory=512 << 20))
    assert within == decide.Wait(seconds=decide.MEMORY_POLL)


def test_the_lease_is_extended_when_a_third_of_it_has_passed() -> None:
    assert decide.next_step(attempt(), Observation(now=3.0)) == decide.ExtendLease()
    assert decide.next_step(attempt(), Observation(now=2.0)) == decide.Wait(seconds=1.0)


@given(
    now=st.floats(0, 1e6),
    began=st.none() | st.floats(0, 1e6),
    extended=st.floats(0, 1e6),
    seconds=st.none() | st.floats(0.001, 1e6),
)
def test_no_wait_outlasts_the_lease_or_the_limit(
    now: float, began: float | None, extended: float, seconds: float | None
) -> None:
    given_limits = Limits(seconds=seconds)
    under_way = Attempt(
        token=7, sent=0.0, began=began, extended=extended, lease=9.0, limits=given_limits
    )
    step = decide.next_step(under_way, Observation(now=now))
    if isinstance(step, decide.Wait):
        assert step.seconds >= 0
        assert now + step.seconds <= extended + 9.0 / 3 + 1e-6
        if began is not None and seconds is not None:
            assert now + step.seconds <= began + seconds + 0.02


def test_as_many_tasks_are_claimed_together_as_take_a_moment() -> None:
    assert decide.tasks_at_once(seconds=0.04, tasks=4) == 5
    assert decide.tasks_at_once(seconds=30.0, tasks=1) == 1
    assert decide.tasks_at_once(seconds=0.0, tasks=1) == MAX_AT_ONCE


def test_a_task_parts_from_its_batch_once_that_has_taken_long() -> None:
    together = replace(attempt(), parts=decide.parts_at(0.0, lease=9.0))
    assert decide.next_step(together, Observation(now=0.1)) == decide.Wait(seconds=0.1)
    assert decide.next_step(together, Observation(now=0.2)) == decide.PartFromBatch()
    alone = replace(together, parts=None)
    assert decide.next_step(alone, Observation(now=0.2)) == decide.Wait(seconds=2.8)


def test_a_batch_is_over_before_its_leases_are_due() -> None:
    assert decide.parts_at(5.0, lease=0.3) == 5.1


PROGRESS = FitProgress(
    trial=0,
    fold=0,
    step=3,
    steps=9,
    epoch=0.5,
    loss=1.0,
    accuracy=None,
    rows_per_second=9.0,
    workers=1,
)
TOLD = FitProgressed(token=7, progress=PROGRESS)


def test_the_first_that_a_fit_tells_is_reported_at_once() -> None:
    told = replace(attempt(), told=TOLD)
    assert decide.next_step(told, Observation(now=1)) == decide.ReportFit()


def test_what_it_tells_next_waits_for_its_time() -> None:
    told = replace(attempt(), told=TOLD, reported=0.5)
    assert decide.next_step(told, Observation(now=1.5)) == decide.Wait(seconds=1.0)
    assert decide.next_step(told, Observation(now=2.5)) == decide.ReportFit()
    silent = replace(told, told=None)
    assert decide.next_step(silent, Observation(now=2.5)) == decide.Wait(seconds=0.5)


def test_the_lease_goes_before_a_report_and_the_answer_before_both() -> None:
    told = replace(attempt(), told=TOLD)
    assert decide.next_step(told, Observation(now=3)) == decide.ExtendLease()
    answered = Observation(now=3, answer=SCORED)
    assert decide.next_step(told, answered) == decide.CommitResult(answer=SCORED)


def test_what_is_told_later_keeps_the_last_checkpoint_of_its_attempt() -> None:
    first = replace(TOLD, progress=replace(PROGRESS, checkpoint="c" * 64))
    later = replace(TOLD, progress=replace(PROGRESS, step=4))
    kept = newer(first, later).progress
    assert (kept.step, kept.checkpoint) == (4, "c" * 64)
    another = replace(later, progress=replace(PROGRESS, checkpoint="d" * 64))
    assert newer(first, another) == another
    assert newer(None, later) == later
    of_another_attempt = replace(later, token=8)
    assert newer(first, of_another_attempt) == of_another_attempt
