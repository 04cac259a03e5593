"""What a person reads while a search goes on."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fairlead.cli.progress import Bar, JsonLines, Lines, fit_in_words, fit_name, in_words
from fairlead.records import Counts, FitProgress, FitReport, Study, Trial
from fairlead.study.progress import FitUnderWay, PauseClock, SearchProgress

STUDY = Study(id="s", name="n", spec="{}", table="t", size=12)
BEGUN = SearchProgress(
    study=STUDY, metric="mse", counts=Counts(ready=12), best=None, workers=1, elapsed=0.0
)
RUNNING = replace(BEGUN, counts=Counts(ready=11, running=1), elapsed=12.0)
PROGRESS = FitProgress(
    trial=3,
    fold=0,
    step=699,
    steps=5000,
    epoch=2.417,
    loss=0.23123,
    accuracy=0.9314,
    rows_per_second=15300.4,
    workers=4,
)
REPORT = FitReport(id=9, task=1, attempt=2, at=1000.0, progress=PROGRESS, checkpointed=990.0)
FIT = FitUnderWay(report=REPORT, silent=2.0)
BEST = (Trial(number=3, family="ridge", params={}), 15.991234)


def test_before_the_first_task_ends_the_time_goes_on() -> None:
    assert in_words(BEGUN) == "starting workers, 0:00, 1 worker"
    assert in_words(RUNNING) == "first task running, 0:12, 1 worker"


def test_then_the_best_the_time_gone_and_the_time_left_are_told() -> None:
    later = replace(RUNNING, counts=Counts(running=2, done=3, failed=1), best=BEST, workers=2)
    assert in_words(later) == "best mse 15.9912, 1 failed, 0:12, 0:24 left, 2 workers"


def test_nobody_knows_the_time_left_where_nothing_goes_on() -> None:
    halted = replace(RUNNING, counts=Counts(ready=2, done=4), best=BEST, workers=0)
    assert in_words(halted) == "best mse 15.9912, waiting for workers, 0:12, 0 workers"
    paused = replace(halted, study=replace(STUDY, paused=True))
    waits = "paused: `fairlead resume s` goes on"
    assert in_words(paused) == f"best mse 15.9912, {waits}, 0:12, 0 workers"
    ended = replace(halted, counts=Counts(done=12))
    assert in_words(ended) == "best mse 15.9912, all trials ended, 0:12, 0 workers"


def test_a_resumed_run_tells_the_time_left_once_one_trial_of_its_own_has_ended() -> None:
    resumed = replace(RUNNING, counts=Counts(running=1, done=8), best=BEST, before=8)
    assert in_words(resumed) == "best mse 15.9912, first task running, 0:12, 1 worker"
    one = replace(resumed, counts=Counts(running=1, done=9))
    assert in_words(one) == "best mse 15.9912, 0:12, 0:36 left, 1 worker"


def test_the_time_left_is_that_of_the_work_and_not_of_a_pause() -> None:
    clock = PauseClock()
    for elapsed, paused in ((4.0, False), (6.0, True), (1006.0, False), (1012.0, False)):
        seconds = clock.look(elapsed, paused=paused)
    assert seconds == 1000.0
    resumed = replace(RUNNING, counts=Counts(running=1, done=6), elapsed=1012.0, paused=seconds)
    assert in_words(resumed) == "16:52, 0:12 left, 1 worker"


def test_who_looks_late_tells_the_time_of_the_run_and_reckons_with_what_was_seen() -> None:
    late = replace(RUNNING, counts=Counts(running=1, done=8), before=6, elapsed=3600.0, seen=20.0)
    assert in_words(late) == "1:00:00, 0:40 left, 1 worker"


def test_plain_lines_say_the_beginning_and_the_end_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = Lines()
    for done in (0, 0, 5, 12):
        lines.searching(replace(RUNNING, counts=Counts(running=1, done=done)))
    told = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in told] == ["0/12 trials", "12/12 trials"]


def test_a_fit_says_how_far_it_is_and_how_old_its_checkpoint_is() -> None:
    assert fit_name(FIT) == "trial 3, fold 0"
    assert fit_in_words(FIT) == (
        "epoch 2.4, step 700/5,000, loss 0.2312, accuracy 0.931, 15,300 rows/s, 4 ranks, "
        "checkpoint 0:12 ago"
    )


def test_a_refit_of_numbers_without_a_checkpoint_says_so_and_that_it_is_silent() -> None:
    told = replace(PROGRESS, fold=None, accuracy=None, workers=1)
    report = replace(REPORT, progress=told, checkpointed=None)
    fit = FitUnderWay(report=report, silent=75.0)
    assert fit_name(fit) == "refit of trial 3"
    assert fit_in_words(fit) == (
        "epoch 2.4, step 700/5,000, loss 0.2312, 15,300 rows/s, 1 rank, no checkpoint, "
        "nothing heard for 1:15"
    )


def test_plain_lines_have_one_a_fit_and_not_at_each_look(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = Lines()
    many = [
        replace(FIT, report=replace(REPORT, progress=replace(PROGRESS, trial=number)))
        for number in range(10)
    ]
    for _ in range(3):
        lines.fitting(many)
    lines.fitting([])
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 9
    assert said[0].startswith("trial 0, fold 0: epoch 2.4, step 700/5,000")
    assert said[-1] == "and 2 more fits"


def test_lines_of_json_have_an_event_each(capsys: pytest.CaptureFixture[str]) -> None:
    lines = JsonLines()
    lines.stage("searching")
    lines.searching(replace(RUNNING, best=BEST))
    lines.fitting([FIT])
    lines.note("näh")
    stage, searching, fitting, note = map(json.loads, capsys.readouterr().err.splitlines())
    assert stage == {"event": "stage", "name": "searching"}
    assert (searching["event"], searching["done"], searching["best"]) == ("searching", 0, BEST[1])
    told = {"event": "fitting", **vars(PROGRESS), "attempt": 2}
    told["ranks"] = told.pop("workers")
    assert fitting == {**told, "checkpoint_age": 12.0, "silent": 2.0}
    assert note == {"event": "note", "text": "näh"}


def test_a_terminal_has_a_bar_for_each_fit_as_long_as_it_goes_on() -> None:
    bar = Bar()
    other = replace(FIT, report=replace(REPORT, progress=replace(PROGRESS, fold=1, step=99)))
    bar.fitting([FIT, other])
    bar.fitting([other])
    tasks = {task.description: task for task in bar._progress.tasks}
    assert tasks.keys() == {"starting", "trial 3, fold 1"}
    assert (tasks["trial 3, fold 1"].completed, tasks["trial 3, fold 1"].total) == (100, 5000)
    bar.fitting([])
    assert [task.description for task in bar._progress.tasks] == ["starting"]
