"""XGBoost's fits on executors of Spark: the model of one process, to the byte."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.support.spark import executors

from fairlead.families.family import Fitted
from fairlead.families.xgboost import XGBOOST
from fairlead.spec.document import Train
from fairlead.training.driver import DriverSetting, GangDriver

pytestmark = pytest.mark.distributed


def train_of(**given: Any) -> Train:
    return Train.model_validate(
        {"engine": "spark", "workers": 2, "resources": {"memory": "1GiB"}, **given}
    )


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GangDriver]:
    folder = tmp_path_factory.mktemp("logs")
    setting = DriverSetting(train=train_of(), threads=1, artifacts="file:///none", logs=folder)
    driver = GangDriver(setting)
    yield driver
    driver.close()


def rows(classes: int | None) -> tuple[Any, Any]:
    drawn = np.random.default_rng(0)
    x = drawn.standard_normal((1500, 6))
    signal = x[:, 0] * 2 + np.sin(3 * x[:, 1]) + x[:, 2] * x[:, 3] + drawn.standard_normal(1500)
    x[drawn.random(x.shape) < 0.05] = np.nan
    if classes is None:
        return x, signal
    return x, np.digitize(signal, np.quantile(signal, np.arange(1, classes) / classes))


def fitted(
    driver: GangDriver | None, classes: int | None, *, rounds: int = 40, **given: Any
) -> Fitted:
    x, y = rows(classes)
    task = "regression" if classes is None else "classification"
    estimator = XGBOOST.build({"n_estimators": rounds}, task, seed=1, threads=1)

    def fit(session: Any | None) -> Fitted:
        train = train_of(**given)
        return XGBOOST.fit_parted(estimator, x, y, classes=classes, train=train, spark=session)

    return fit(None) if driver is None else driver.on_spark(fit)


def saved(fitted: Fitted) -> bytes:
    return XGBOOST.save(fitted).content


@pytest.mark.parametrize("classes", [None, 2, 3])
def test_the_model_is_that_of_one_process_whoever_has_which_rows(
    driver: GangDriver, classes: int | None
) -> None:
    alone = saved(fitted(None, classes))
    for workers in (1, 2):
        assert saved(fitted(driver, classes, workers=workers)) == alone


def test_an_executor_that_is_killed_during_a_fit_changes_no_byte(driver: GangDriver) -> None:
    fitted(driver, None, rounds=1)  # so that both executors are there
    killed: list[int] = []

    def kill() -> None:
        time.sleep(4.0)
        victim = executors()[0]
        killed.append(victim.pid)
        victim.kill()

    killing = threading.Thread(target=kill)
    killing.start()
    model = saved(fitted(driver, None, rounds=3000))
    assert killed, "it was over before an executor was killed"
    killing.join()
    assert model == saved(fitted(None, None, rounds=3000))


def test_in_mode_allreduce_the_trees_are_those_of_the_executors_rows(driver: GangDriver) -> None:
    x, y = rows(None)
    one, two = (
        XGBOOST.predict(fitted(driver, None, mode="allreduce", workers=workers), x)
        for workers in (1, 2)
    )
    assert (one != two).any()
    for predicted in (one, two):
        assert np.corrcoef(predicted, y)[0, 1] > 0.9
