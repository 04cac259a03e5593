"""Rows that are not in memory: every number is the one of the rows that are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.artifacts import Artifacts
from fairlead.data import fingerprint, precision, store
from fairlead.data.features import FeatureRows, Features, taken
from fairlead.data.table import Table
from fairlead.errors import InvalidSpec
from fairlead.families import catalog
from fairlead.families.family import Batches, Batchwise
from fairlead.records import Candidate, Column, Signature, Trial
from fairlead.settings import Settings
from fairlead.spec.document import Data, Spec, canonical
from fairlead.study import plan as plans
from fairlead.training.fit import given_to
from fairlead.training.prepare import Preparation, PreparedRows
from fairlead.training.refit import refit
from fairlead.training.study_context import StudyContext

ROWS = 400
TASKS = {"regression": None, "two classes": ("no", "yes"), "three classes": ("a", "b", "c")}


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few rows, so that there are many."""
    monkeypatch.setattr("fairlead.data.features.BLOCK", 2000)


def features_of(rows: int = ROWS, *, missing: float = 0.05) -> Features:
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(rows, 5)).round(3)
    numbers[:, 4] = rng.integers(0, 9, rows)
    numbers[rng.random(numbers.shape) < missing] = np.nan
    text = rng.integers(-1, 3, (rows, 1)).astype(np.int32)
    return Features(numbers=numbers, text=text, categories=(("Bonn", "Oslo", "Rome"),))


def table_of(classes: tuple[str, ...] | None, rows: int = ROWS) -> Table:
    features = features_of(rows)
    columns = (
        *(Column(name=f"n{at}", kind="number") for at in range(5)),
        Column(name="city", kind="text"),
    )
    amounts = np.nan_to_num(features.numbers[:, 0]) * 2 + features.text[:, 0]
    target: Any = amounts
    if classes is not None:
        edges = np.quantile(amounts, np.linspace(0, 1, len(classes) + 1)[1:-1])
        target = np.digitize(amounts, edges).astype(np.int64)
    return Table(
        columns=columns,
        features=features,
        target_name="y",
        target=target,
        classes=classes,
        fingerprint=fingerprint.fingerprint(columns, features, "y", target, classes),
    )


def context_of(
    kept: Table, artifacts: Artifacts, family: str, params: dict[str, Any], memory: int | None
) -> StudyContext:
    spec = Spec.model_validate(
        {
            "name": "blocks",
            "data": {
                "source": "rows",
                "target": "y",
                "impute": "median",
                "encode": {"city": "onehot"},
                "holdout": {"share": 0.2},
            },
            "search": {
                "method": "grid",
                "folds": 3,
                "over": [{"family": family, "params": params}],
            },
        }
    )
    return StudyContext(
        spec=canonical(spec),
        table=store.save(kept, artifacts),
        sources={},
        artifacts=artifacts,
        memory=memory,
    )


def both(tmp_path: Path, classes: Any, family: str, **params: Any) -> Iterator[StudyContext]:
    artifacts = Artifacts(tmp_path / "artifacts")
    for memory in (None, 1000):
        yield context_of(table_of(classes), artifacts, family, params, memory)


def said(candidate: Candidate) -> dict[str, Any]:
    """All of a candidate, but how long it took, where it was made, and what skops numbers anew."""
    other = {"environment.json", "model.skops"}
    files = {name: file for name, file in candidate.files.items() if name not in other}
    return {**vars(candidate), "files": files, "seconds": None}


@pytest.mark.usefixtures("small_blocks")
class TestWholeStudies:
    @pytest.mark.parametrize("classes", TASKS.values(), ids=TASKS)
    @pytest.mark.parametrize(
        ("family", "params"),
        [
            ("xgboost", {"n_estimators": 12, "subsample": 0.8, "max_depth": 3}),
            ("xgboost", {"n_estimators": 5, "tree_method": "exact"}),  # not in blocks: an array
            ("random_forest", {"n_estimators": 5}),
        ],
    )
    def test_scores_and_candidate_are_the_same(
        self, tmp_path: Path, classes: Any, family: str, params: dict[str, Any]
    ) -> None:
        whole, blocks = both(tmp_path, classes, family, **params)
        trial = Trial(number=0, family=family, params=params)
        assert isinstance(blocks.training[0], FeatureRows)
        assert isinstance(next(blocks.folds()).x_train, PreparedRows)
        one, other = (context.score([trial])[0] for context in (whole, blocks))
        assert one.state == "done"
        assert (one.state, one.scores) == (other.state, other.scores)
        ours = Artifacts(tmp_path / "artifacts")
        candidates = [refit(context, "s", trial, ours) for context in (whole, blocks)]
        assert said(candidates[0]) == said(candidates[1])

    def test_trials_that_share_a_fit(self, tmp_path: Path) -> None:
        whole, blocks = both(tmp_path, None, "xgboost", n_estimators=[3, 6, 9])
        trials = [
            Trial(number=at, family="xgboost", params={"n_estimators": rounds})
            for at, rounds in enumerate((3, 9, 6))
        ]
        one, other = ([r.scores for r in c.score(trials)] for c in (whole, blocks))
        assert one == other


@pytest.mark.usefixtures("small_blocks")
class TestPreparation:
    @settings(max_examples=30, deadline=None)
    @given(
        impute=st.sampled_from([None, "mean", "median", "most_frequent", 0.5]),
        missing=st.sampled_from([0.0, 0.3, 1.0]),
        memory=st.sampled_from([1, 32 * ROWS, 48 * ROWS, 1 << 28]),
        seed=st.integers(0, 9),
    )
    def test_it_is_fitted_and_done_alike(
        self, impute: Any, missing: float, memory: int, seed: int
    ) -> None:
        features = features_of(missing=missing)
        rows = np.random.default_rng(seed).permutation(ROWS)[: ROWS // 2]
        data = Data(source="rows", impute=impute, encode={"city": "onehot"})
        whole = Preparation.fit(features.take(rows), data)
        parted = Preparation.fit(FeatureRows(features=features, rows=rows, memory=memory), data)
        assert whole.vocabulary == parted.vocabulary
        assert (whole.fill is None) == (parted.fill is None)
        if whole.fill is not None and parted.fill is not None:
            assert whole.fill.tobytes() == parted.fill.tobytes()
        made = parted.transform(FeatureRows(features=features, rows=rows))
        wanted = whole.transform(features.take(rows))
        assert isinstance(made, Batches)
        assert made.shape == wanted.shape
        assert np.asarray(made).tobytes() == np.asarray(wanted).tobytes()
        assert len([*made.blocks()]) > 3
        some = np.array([5, 0, 7])
        np.testing.assert_array_equal(made[some], np.asarray(wanted)[some])
        np.testing.assert_array_equal(made[3:9], np.asarray(wanted)[3:9])


@pytest.mark.usefixtures("small_blocks")
def test_hashes_and_precision_of_blocks() -> None:
    features = features_of()
    features.numbers[300, 2] = 2.0**24 + 1
    names = Signature(
        columns=tuple(Column(name=f"n{at}", kind="number") for at in range(5)), target="y"
    )
    rows = np.arange(ROWS)[::-1]
    parted = taken(features, rows, memory=1)
    np.testing.assert_array_equal(
        fingerprint.row_hashes(parted), fingerprint.row_hashes(features)[::-1]
    )
    assert precision.rounded(parted, names) == precision.rounded(features, names) == ("n2",)


def test_who_takes_blocks() -> None:
    xgboost = catalog.family("xgboost", base=Path())
    assert isinstance(xgboost, Batchwise)
    assert xgboost.whole({"max_depth": 3, "tree_method": "hist"}) is None
    assert xgboost.whole({"booster": "dart"}) == "booster 'dart'"
    assert xgboost.whole({"tree_method": "approx"}) == "tree_method 'approx'"
    assert xgboost.whole({"max_cat_to_onehot": 3}) == "parameter 'max_cat_to_onehot'"
    forest = catalog.family("random_forest", base=Path())
    assert not isinstance(forest, Batchwise)
    features = features_of()
    rows = FeatureRows(features=features, rows=np.arange(10))
    x = Preparation.fit(rows, Data(source="rows")).transform(rows)
    assert given_to(xgboost, {}, x) is x
    assert isinstance(given_to(forest, {}, x), np.ndarray)


class TestWhoIsRefused:
    """A family that holds all rows is refused where these are too many, and not killed."""

    @pytest.fixture
    def parts(self, tmp_path: Path) -> Path:
        folder = tmp_path / "parts"
        folder.mkdir()
        rng = np.random.default_rng(0)
        for at in range(2):
            rows = {f"x{column}": rng.normal(size=20_000) for column in range(4)}
            pq.write_table(
                pa.table({**rows, "y": rng.normal(size=20_000)}), folder / f"{at}.parquet"
            )
        pq.write_table(pq.read_table(folder), tmp_path / "rows.parquet")
        return folder

    def planned(self, source: Path, family: str, **says: Any) -> plans.StudyPlan:
        spec = Spec.model_validate(
            {
                "name": "large",
                "data": {"source": source.name, "target": "y"},
                "search": {"folds": 3, **says, "over": [{"family": family}]},
            }
        )
        home = Settings(home=source.parent / "home", data_memory=1_000_000)
        return plans.make(spec, base=source.parent, settings=home)

    def refusal(self, source: Path, family: str, **says: Any) -> str:
        with pytest.raises(InvalidSpec) as error:
            self.planned(source, family, **says)
        return str(error.value)

    @pytest.mark.parametrize("family", ["random_forest", "lightgbm", "catboost"])
    def test_by_the_bound_of_the_installation(self, parts: Path, family: str) -> None:
        assert self.refusal(parts, family) == (
            f"search.over[0].family: {family!r} holds all rows in memory, and the features "
            "take 1.28 MB, more than $FAIRLEAD_DATA_MEMORY (1 MB); raise that, or use xgboost "
            "or keras, which take rows in parts"
        )

    def test_by_the_bound_of_a_task(self, parts: Path) -> None:
        file = parts.parent / "rows.parquet"
        said = self.refusal(file, "linear", task_memory=1 << 20)
        assert "more than search.task_memory (1.05 MB)" in said

    def test_who_takes_rows_in_parts_is_not(self, parts: Path) -> None:
        plan = self.planned(parts, "xgboost", task_memory=1 << 20)
        assert plan.table.features.size == 1_280_000

    def test_parameters_that_need_all_rows(self, parts: Path) -> None:
        spec = Spec.model_validate(
            {
                "name": "large",
                "data": {"source": parts.name, "target": "y"},
                "search": {
                    "folds": 3,
                    "over": [{"family": "xgboost", "params": {"tree_method": ["hist", "exact"]}}],
                },
            }
        )
        home = Settings(home=parts.parent / "home", data_memory=1_000_000)
        with pytest.raises(InvalidSpec, match="'xgboost' holds all rows in memory with tree_m"):
            plans.make(spec, base=parts.parent, settings=home)

    def test_a_table_of_one_file_is_as_ever(self, parts: Path) -> None:
        plan = self.planned(parts.parent / "rows.parquet", "linear")
        assert plan.table.scratch is None


def test_a_limit_of_tasks_bounds_what_is_copied(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "artifacts")
    context = context_of(table_of(None, 10_000), artifacts, "xgboost", {"n_estimators": 3}, None)
    limited = context.spec.model_copy(
        update={"search": context.spec.search.model_copy(update={"task_memory": 1 << 20})}
    )
    again = StudyContext(
        spec=canonical(limited), table=context.table_digest, sources={}, artifacts=artifacts
    )
    assert isinstance(context.training[0], Features)
    assert isinstance(again.training[0], FeatureRows)
