"""A network trained on rows that are not in memory is the one that is trained on rows that are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.integration.data.test_training_in_blocks import TASKS, both, said

from fairlead.artifacts import Artifacts
from fairlead.data import features
from fairlead.families.keras_model import Scaling
from fairlead.records import Trial
from fairlead.training.prepare import PreparedRows
from fairlead.training.refit import refit


@dataclass(frozen=True, kw_only=True)
class Parted:
    """An array, in blocks."""

    array: NDArray[np.float64]
    cuts: Sequence[int]

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.array), self.array.shape[1]

    def __len__(self) -> int:
        return len(self.array)

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[np.float64]:
        return self.array

    def __getitem__(self, rows: Any) -> NDArray[np.float64]:
        return self.array[rows]

    def take(self, rows: NDArray[np.intp]) -> Parted:
        return Parted(array=self.array[rows], cuts=())

    def blocks(self) -> Iterator[NDArray[np.float64]]:
        return iter(np.split(self.array, sorted(self.cuts)))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(2, 3000),
    width=st.integers(1, 20),
    cuts=st.lists(st.integers(1, 2999), max_size=6, unique=True),
    how=st.sampled_from(["standard", "range", "none"]),
    seed=st.integers(0, 99),
)
def test_the_scaling_is_the_same_to_the_bit(
    *, rows: int, width: int, cuts: list[int], how: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(rows, width)) * 1e3, rng.normal(size=rows)
    parted = Parted(array=x, cuts=[cut for cut in cuts if cut < rows])
    one, other = (Scaling.fit(each, y, how, None) for each in (x, parted))
    assert one.center.tobytes() == other.center.tobytes()
    assert one.factor.tobytes() == other.factor.tobytes()


@pytest.mark.distributed
@pytest.mark.parametrize("classes", [TASKS["regression"], TASKS["three classes"]])
@pytest.mark.parametrize("validation", [{}, {"validation": 0.2, "patience": 2}])
def test_scores_and_candidate_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes: Any, validation: dict[str, Any]
) -> None:
    monkeypatch.setattr(features, "BLOCK", 2000)
    params = {"epochs": 2, "batch": 32, "units": 8} | validation
    whole, blocks = both(tmp_path, classes, "keras", **params)
    assert isinstance(next(blocks.folds()).x_train, PreparedRows)
    trial = Trial(number=0, family="keras", params=params)
    one, other = (context.score([trial])[0] for context in (whole, blocks))
    assert (one.state, one.reason) == ("done", None)
    assert one.scores == other.scores
    ours = Artifacts(tmp_path / "artifacts")
    candidates = [said(refit(context, "s", trial, ours)) for context in (whole, blocks)]
    assert candidates[0] == candidates[1]
