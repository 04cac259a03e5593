"""What a person reads while a search goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fairlead.cli.progress import Lines, in_words
from fairlead.records import Counts, Study, Trial
from fairlead.study.progress import PauseClock, SearchProgress

STUDY = Study(id="s", name="n", spec="{}", table="t", size=12)
BEGUN = SearchProgress(
    study=STUDY, metric="mse", counts=Counts(ready=12), best=None, workers=1, elapsed=0.0
)
RUNNING = replace(BEGUN, counts=Counts(ready=11, running=1), elapsed=12.0)
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


def test_plain_lines_say_the_beginning_and_the_end_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = Lines()
    for done in (0, 0, 5, 12):
        lines.searching(replace(RUNNING, counts=Counts(running=1, done=done)))
    told = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in told] == ["0/12 trials", "12/12 trials"]
