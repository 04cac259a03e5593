"""Fits of real studies, whose steps are jobs of Spark: the bits of one process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.support.gangs import SharedStudy, digest, heed_nothing, shared_study
from tests.support.spark import executors

from fairlead.gang.steps import Alone, take_steps, total
from fairlead.spec.document import Train
from fairlead.training.computation import FitOpener
from fairlead.training.driver import DriverSetting, Ranks, start_ranks

pytestmark = pytest.mark.distributed


@pytest.fixture
def study(tmp_path: Path) -> SharedStudy:
    return shared_study(tmp_path)


@contextmanager
def ranks_of(study: SharedStudy, folder: Path) -> Iterator[Ranks]:
    train = Train.model_validate({"workers": 2, "engine": "spark", "resources": {"memory": "1GiB"}})
    setting = DriverSetting(train=train, threads=1, artifacts=study.artifacts.root, logs=folder)
    with ExitStack() as stack:
        yield start_ranks(setting, stack)


def test_a_fit_on_spark_has_the_bits_of_one_process(study: SharedStudy, tmp_path: Path) -> None:
    with ranks_of(study, tmp_path) as ranks:
        for fold in (0, 1, None):
            job = study.fit(fold=fold, batch=128)
            assert study.train(job, ranks.open(job)) == study.train(job, None)


def test_executors_that_are_killed_during_a_fit_change_no_bit(
    study: SharedStudy, tmp_path: Path
) -> None:
    job = study.fit(batch=128)
    with ranks_of(study, tmp_path) as ranks:
        steps: list[int] = []

        def kill_some(_: object) -> None:
            steps.append(len(steps))
            if len(steps) in {3, 9}:
                executors()[0].kill()

        assert study.train(job, ranks.open(job), kill_some) == study.train(job, None)
        assert len(steps) > 9


def test_a_fit_goes_on_from_a_checkpoint_on_spark_as_elsewhere(
    study: SharedStudy, tmp_path: Path
) -> None:
    job = study.fit(batch=128)
    with ranks_of(study, tmp_path) as ranks:
        first, second = FitOpener(study.artifacts)(job), FitOpener(study.artifacts)(job)
        gang = ranks.open(job)
        for _ in range(4):
            work = first.next()
            assert work is not None
            first.advance(work, total(gang.compute(work)))
        second.restore(first.checkpoint())
        take_steps(second, Alone(computation=second), heed_nothing)
        assert digest(second) == study.train(job, None)
