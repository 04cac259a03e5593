"""The gang of a driver: started for the first fit, kept for the next, ended after a while."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from fairlead.gang.work import FitJob, Gang, Vector, Work
from fairlead.records import Digest, Trial
from fairlead.spec.document import Train
from fairlead.training.driver import DriverSetting, GangDriver, Ranks

SECONDS = 20.0
SETTING = DriverSetting(train=Train(workers=2), threads=1, artifacts="", logs=Path())
JOB = FitJob(
    study="s",
    spec="",
    table=Digest("sha256:0"),
    sources={},
    trial=Trial(number=0, family="keras", params={}),
    fold=0,
)


class Recorded:
    """Ranks that say when they are ended, and may take long to open a fit."""

    def __init__(self, opening: Callable[[], object] = lambda: None) -> None:
        self.started = 0
        self.ended = threading.Event()
        self._opening = opening

    def start(self, _: DriverSetting, stack: ExitStack) -> Ranks:
        self.started += 1
        stack.callback(self.ended.set)
        return self

    def open(self, job: FitJob) -> Gang:
        assert job is JOB
        self._opening()
        return self

    def compute(self, work: Work) -> Sequence[Vector]:
        raise NotImplementedError(work)

    def alive(self) -> int:
        return 0 if self.ended.is_set() else 2


def test_ranks_stay_for_the_next_fit_and_end_where_none_comes() -> None:
    ranks = Recorded()
    driver = GangDriver(SETTING, ranks.start, idle=0.05)
    driver.open(JOB)
    driver.open(JOB)
    assert ranks.started == 1
    driver.rest()
    assert ranks.ended.wait(SECONDS)
    driver.close()


def test_ranks_whose_time_has_come_stay_for_a_fit_that_is_opened_first() -> None:
    ranks = Recorded()
    driver = GangDriver(SETTING, ranks.start, idle=3600.0)
    driver.open(JOB)
    driver.rest()
    [timer] = [one for one in threading.enumerate() if isinstance(one, threading.Timer)]
    gang = driver.open(JOB)
    timer.function()  # its time had come, and it waited for the lock that `open` had
    assert gang.alive() == 2
    driver.close()
    assert ranks.ended.is_set()
