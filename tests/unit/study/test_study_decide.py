"""What a study does next, as a table of how far it is."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fairlead.metrics import METRICS
from fairlead.records import Result, Run, Study, Trial, TrialRow, Verdict
from fairlead.study import decide
from fairlead.study.decide import Add, Finish, SearchState, Withdraw

BEGIN = SearchState(size=20, lag=None, chunk=8, added=0, complete=0, ready=0, running=0)
LAGGED = replace(BEGIN, lag=3)


def test_trials_without_history_are_put_in_by_chunks() -> None:
    assert decide.next_step(BEGIN) == Add(first=0, last=8)
    assert decide.next_step(replace(BEGIN, added=16)) == Add(first=16, last=20)


def test_no_more_are_put_in_while_enough_are_ready() -> None:
    assert decide.next_step(replace(BEGIN, added=8, ready=decide.LOW_WATER)) is None


def test_with_a_lag_a_trial_is_put_in_once_its_history_is_complete() -> None:
    assert decide.next_step(LAGGED) == Add(first=0, last=4)
    assert decide.next_step(replace(LAGGED, added=4)) is None
    assert decide.next_step(replace(LAGGED, added=4, complete=1)) == Add(first=4, last=5)


def test_a_study_whose_trials_all_have_results_is_finished() -> None:
    assert decide.next_step(replace(BEGIN, added=20, complete=20)) == Finish(size=20)


def test_the_first_trial_that_is_good_enough_ends_the_study_with_itself() -> None:
    assert decide.next_step(replace(BEGIN, added=16, complete=9, reached=5)) == Finish(size=6)


def test_out_of_time_nothing_new_starts_and_running_tasks_end() -> None:
    late = replace(BEGIN, added=8, complete=3, ready=2, running=2, out_of_time=True)
    assert decide.next_step(late) == Withdraw()
    assert decide.next_step(replace(late, withdrawn=True)) is None
    ended = replace(late, withdrawn=True, ready=0, running=0, complete=5)
    assert decide.next_step(ended) == Finish(size=5)


@given(
    size=st.integers(1, 50),
    lag=st.none() | st.integers(0, 10),
    chunk=st.integers(1, 60),
    data=st.data(),
)
def test_every_study_ends_and_no_trial_sees_more_than_its_lag_allows(
    size: int, lag: int | None, chunk: int, data: st.DataObject
) -> None:
    progress = replace(BEGIN, size=size, lag=lag, chunk=chunk)
    done: set[int] = set()
    while not isinstance(step := decide.next_step(progress), Finish):
        if isinstance(step, Add):
            assert step.first == progress.added
            assert lag is None or step.last - 1 - lag - 1 < progress.complete
            progress = replace(progress, added=step.last)
            continue
        waiting = sorted(set(range(progress.added)) - done)
        assert waiting, "nothing runs, nothing is put in, and the study is not finished"
        done.add(data.draw(st.sampled_from(waiting)))
        complete = next(number for number in range(size + 1) if number not in done)
        progress = replace(progress, complete=complete)
    assert step == Finish(size=size)


RUN = Run(id="s.1", study="s", spec="{}")
STUDY = Study(id="s", name="n", spec="{}", table="t", size=3)
DONE = replace(STUDY, state="finished", best=1)
VERDICT = Verdict(decision="keep", text="", against="", metric="mse", rows=0, judged=1)


def test_a_run_goes_from_stage_to_stage_by_what_the_ledger_has_of_it() -> None:
    registered = replace(RUN, version=1)
    judged = replace(registered, verdict=VERDICT)
    stages = [
        decide.next_stage(RUN, STUDY, refitted=False),
        decide.next_stage(RUN, DONE, refitted=False),
        decide.next_stage(RUN, DONE, refitted=True),
        decide.next_stage(registered, DONE, refitted=True),
        decide.next_stage(replace(judged, deploy=True), DONE, refitted=True),
        decide.next_stage(judged, DONE, refitted=True),
    ]
    assert stages == ["search", "refit", "register", "judge", "deploy", None]


def test_a_run_whose_study_was_extended_after_its_version_was_registered_does_not_go_back() -> None:
    assert decide.next_stage(replace(RUN, version=1), STUDY, refitted=False) == "judge"


def ended(*scores: float | None) -> list[TrialRow]:
    """Trials with these scores; None failed."""
    return [
        TrialRow(
            trial=Trial(number=number, family="x", params={}),
            state="failed" if score is None else "done",
            result=Result(number=number, state="failed" if score is None else "done", score=score),
        )
        for number, score in enumerate(scores)
    ]


KEPT = Study(id="s", name="n", spec="{}", table="t", size=4, state="finished", best=3)


def test_fewer_trials_are_a_study_of_their_own_with_the_best_of_them() -> None:
    rows = ended(None, 2.0, 3.0, 1.0)
    few = decide.as_asked(KEPT, rows, 3, METRICS["mse"])
    assert (few.size, few.state, few.best) == (3, "finished", 1)
    assert decide.as_asked(KEPT, rows, 3, METRICS["r2"]).best == 2
    assert decide.as_asked(KEPT, rows, 1, METRICS["mse"]).best is None


def test_as_many_trials_or_more_are_the_study_itself() -> None:
    for size in (4, 5):
        assert decide.as_asked(KEPT, ended(1, 1, 1, 1), size, METRICS["mse"]) is KEPT


def test_fewer_trials_that_have_not_ended_are_searched() -> None:
    kept = replace(KEPT, state="searching", best=None)
    first, second, third, _ = ended(1, 2, 3, 4)
    waiting = replace(second, state="waiting", result=None)
    for rows in ([first], [first, waiting, third]):
        few = decide.as_asked(kept, rows, 2, METRICS["mse"])
        assert (few.size, few.state, few.best) == (2, "searching", None)
