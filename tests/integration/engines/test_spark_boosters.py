"""XGBoost's fits on executors of Spark, which read their rows: the model of one process.

It is so to the byte. The data is a folder of Parquet files, larger than the memory for data.
"""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.spark import executors

from fairlead.artifacts import Artifacts
from fairlead.data import features, store
from fairlead.data.features import FeatureRows
from fairlead.errors import Failed
from fairlead.families import xgboost_spark
from fairlead.records import Params, Trial
from fairlead.settings import Settings
from fairlead.spec.document import Spec, Train, canonical
from fairlead.study import plan as plans
from fairlead.training.driver import DriverSetting, GangDriver
from fairlead.training.refit import refit
from fairlead.training.study_context import StudyContext

pytestmark = pytest.mark.distributed

ROWS = 1500
MEMORY = 10_000
"""Bytes for data: the rows take 84,000."""
TARGETS = {"price": "regression", "sold": "classification", "grade": "classification"}


def train_of(**given: Any) -> Train:
    return Train.model_validate(
        {"engine": "spark", "workers": 3, "resources": {"memory": "1GiB"}, **given}
    )


def columns() -> dict[str, Any]:
    drawn = np.random.default_rng(0)
    x = drawn.standard_normal((ROWS, 6))
    signal = x[:, 0] * 2 + np.sin(3 * x[:, 1]) + x[:, 2] * x[:, 3] + drawn.standard_normal(ROWS)
    x[drawn.random(x.shape) < 0.05] = np.nan
    return {
        **{f"x{at}": pa.array(column, from_pandas=True) for at, column in enumerate(x.T)},
        "city": np.array(["Bonn", "Oslo", "Rome"])[drawn.integers(0, 3, ROWS)],
        "price": signal,
        "sold": np.where(signal > 0.5, "yes", "no"),
        "grade": np.array(["a", "b", "c"])[np.digitize(signal, [-1.0, 1.0])],
    }


@dataclass(frozen=True, kw_only=True)
class Studied:
    """Folders of Parquet files, and where their tables are kept."""

    folder: Path

    @property
    def artifacts(self) -> Artifacts:
        return Artifacts(self.settings.artifacts_url)

    @property
    def settings(self) -> Settings:
        return Settings(home=self.folder / "home", data_memory=MEMORY)

    def write(self, name: str, rows: pa.Table, files: int) -> None:
        (self.folder / name).mkdir()
        of_file = -(-len(rows) // files)
        for at in range(files):
            file = self.folder / name / f"part-{at}.parquet"
            part = rows[at * of_file : (at + 1) * of_file]
            pq.write_table(part, file, row_group_size=1 + len(part) // 4)

    def context(self, data: Mapping[str, Any], *, memory: int | None, **train: Any) -> StudyContext:
        spec = Spec.model_validate(
            {
                "name": "boosters",
                "data": data,
                "search": {
                    "method": "grid",
                    "folds": 2,
                    "over": [{"family": "xgboost", "params": {"n_estimators": 5}}],
                },
                "train": train_of(**train).model_dump(mode="json"),
                "promote": {"when": "never"},
            }
        )
        settings = replace(self.settings, data_memory=memory or MEMORY)
        plan = plans.make(spec, base=self.folder, settings=settings)
        return StudyContext(
            spec=canonical(plan.spec),
            table=store.save(plan.table, self.artifacts),
            sources={},
            artifacts=self.artifacts,
            memory=memory,
        )

    def small(self, target: str, *, memory: int | None = MEMORY, **train: Any) -> StudyContext:
        data = {
            "source": "rows",
            "target": target,
            "drop": [name for name in TARGETS if name != target],
            "impute": "median",
            "encode": {"city": "onehot"},
        }
        return self.context(data, memory=memory, **train)


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Studied:
    studied = Studied(folder=tmp_path_factory.mktemp("studied"))
    studied.write("rows", pa.table(columns()), files=4)
    return studied


@pytest.fixture(scope="module")
def driver(studied: Studied) -> Iterator[GangDriver]:
    setting = DriverSetting(
        train=train_of(),
        threads=1,
        artifacts=studied.artifacts.root,
        logs=studied.folder / "logs",
    )
    driver = GangDriver(setting)
    yield driver
    driver.close()


def refitted(
    context: StudyContext, driver: GangDriver | None, params: Params | None = None
) -> tuple[Any, ...]:
    """The score of a candidate, and the digests of its models."""
    context.spark = None if driver is None else driver.on_spark
    candidate = refit(context, "boosters", trial_of(params), context.artifacts)
    models = [candidate.files[name].digest for name in ("model.json", "model.onnx")]
    return candidate.holdout_score, *models


def trial_of(params: Params | None = None) -> Trial:
    given = {"n_estimators": 20, "max_depth": 4, **(params or {})}
    return Trial(number=0, family="xgboost", params=given)


@pytest.mark.parametrize("target", TARGETS)
def test_the_model_is_that_of_one_process_whoever_has_which_rows(
    studied: Studied, driver: GangDriver, target: str
) -> None:
    alone = refitted(studied.small(target, memory=None), None)
    on_disk = studied.small(target)
    assert isinstance(on_disk.training[0], FeatureRows)
    assert refitted(on_disk, None) == alone
    for workers in (1, 2, 3) if target == "price" else (2,):
        assert refitted(studied.small(target, workers=workers), driver) == alone


def test_the_scores_of_folds_are_those_of_one_process(studied: Studied, driver: GangDriver) -> None:
    alone, parted = studied.small("grade", memory=None), studied.small("grade")
    parted.spark = driver.on_spark
    (one,), (other,) = (context.score([trial_of()]) for context in (alone, parted))
    assert (other.state, other.scores) == ("done", one.scores)


@pytest.mark.parametrize(
    "params",
    [
        {"scale_pos_weight": 3.0, "colsample_bytree": 0.6, "max_bin": 16},
        {"num_parallel_tree": 2, "min_child_weight": 4.0, "grow_policy": "lossguide"},
    ],
)
def test_so_it_is_with_weights_of_a_class_and_sampled_columns(
    studied: Studied, driver: GangDriver, params: Params
) -> None:
    alone = refitted(studied.small("sold", memory=None), None, params)
    assert refitted(studied.small("sold"), driver, params) == alone


def test_rows_that_are_in_memory_are_read_by_executors_as_well(
    studied: Studied, driver: GangDriver
) -> None:
    alone = refitted(studied.small("price", memory=None), None)
    assert refitted(studied.small("price", memory=None), driver) == alone


def test_an_executor_that_is_killed_during_a_fit_changes_no_byte(
    studied: Studied, driver: GangDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, params = studied.small("price"), {"n_estimators": 800}
    fit, killed = xgboost_spark._parted, []

    def kill() -> None:
        victim = executors()[0]
        killed.append(victim.pid)
        victim.kill()

    def killing(*given: Any) -> bytes:
        if killed:  # a job that lost an executor is repeated
            return fit(*given)
        killer = threading.Timer(1.0, kill)
        killer.start()
        model = fit(*given)
        assert killed, "it was over before an executor was killed"
        return model

    monkeypatch.setattr(xgboost_spark, "_parted", killing)
    found = refitted(context, driver, params)
    assert found == refitted(studied.small("price", memory=None), None, params)


def test_in_mode_allreduce_the_trees_are_those_of_the_executors_rows(
    studied: Studied, driver: GangDriver
) -> None:
    one, two = (
        refitted(studied.small("price", mode="allreduce", workers=workers), driver)
        for workers in (1, 2)
    )
    assert one != two
    of_table = np.var(columns()["price"])
    for score, *_ in (one, two):
        assert score < 0.5 * of_table


def test_the_driver_holds_none_of_the_rows(
    studied: Studied, driver: GangDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds what it knows of each row, as its target, and counts; the features are 80 MB."""
    rng = np.random.default_rng(0)
    x = rng.random((100_000, 100), np.float32)
    wide = pa.table([*x.T.copy(), x[:, 0] + x[:, 1]], names=[*(f"x{at}" for at in range(100)), "y"])
    studied.write("wide", wide, files=4)
    del x, wide
    monkeypatch.setattr(features, "BLOCK", 1 << 20)
    monkeypatch.setattr(xgboost_spark, "CELLS", 1 << 20)
    context = studied.context({"source": "wide", "target": "y"}, memory=8_000_000, workers=2)
    assert context.table.features.size == 80_000_000
    context.spark = driver.on_spark
    trial = Trial(number=0, family="xgboost", params={"n_estimators": 3, "max_bin": 16})
    tracemalloc.start()
    try:
        refit(context, "boosters", trial, studied.artifacts)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 40_000_000


@pytest.mark.parametrize("mode", ["exact", "allreduce"])
def test_executors_that_do_not_reach_the_artefact_store_are_named(
    studied: Studied, driver: GangDriver, tmp_path: Path, mode: str
) -> None:
    context = studied.small("price", mode=mode)
    elsewhere = Artifacts(tmp_path / "artifacts")
    context.table_digest = elsewhere.put(b"{}").digest  # which is not where executors look
    context.spark = driver.on_spark
    trial = Trial(number=0, family="xgboost", params={"n_estimators": 1})
    with pytest.raises(Failed) as error:
        context.score([trial])
    assert str(error.value).startswith("the executor on ")
    assert "cannot read its rows: " in str(error.value)
    assert str(error.value).endswith("must reach it (where it is a folder, at the same path)")
