"""Studies as their reports see them, made of records."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from fairlead.metrics import METRICS
from fairlead.records import (
    Candidate,
    Column,
    File,
    Judgement,
    Params,
    Parity,
    Result,
    Signature,
    Study,
    Trial,
    TrialRow,
    Verdict,
    Version,
)
from fairlead.report.material import HoldoutPredictions as Predictions
from fairlead.report.material import Material
from fairlead.spec.document import Spec, canonical

Score = Callable[[Params], float | None]
FOREST = {"family": "forest", "params": {"depth": [None, 5, 10], "leaf": [1, 2, 4], "trees": 50}}
BOOSTER = {
    "family": "booster",
    "params": {"rate": {"low": 0.001, "high": 1.0, "log": True}, "rounds": {"low": 10, "high": 90}},
}


def draw(rng: random.Random, number: int) -> Trial:
    """Every second trial is a forest, the others are boosters."""
    if number % 2 == 0:
        params = {"depth": rng.choice([None, 5, 10]), "leaf": rng.choice([1, 2, 4]), "trees": 50}
        return Trial(number=number, family="forest", params=params)
    params = {"rate": 10 ** rng.uniform(-3, 0), "rounds": rng.randint(10, 90)}
    return Trial(number=number, family="booster", params=params)


def depth_decides(params: Params) -> float:
    return {None: 1.0, 5: 5.0, 10: 9.0}[params.get("depth")]  # type: ignore[index]


def row(trial: Trial, score: float | None, *, seconds: float = 0.5) -> TrialRow:
    """A trial done with this score, or failed without one."""
    if score is None:
        reason = "MemoryError: over the limit"
        result = Result(number=trial.number, state="failed", reason=reason, seconds=seconds)
    else:
        scores = (score - 0.5, score + 0.5)
        result = Result(
            number=trial.number, state="done", scores=scores, score=score, seconds=seconds
        )
    return TrialRow(trial=trial, state=result.state, result=result)


@pytest.fixture
def searched() -> Callable[..., Material]:
    """A study that was searched and no more."""

    def make(
        *,
        trials: int = 60,
        score: Score = depth_decides,
        over: Sequence[dict[str, Any]] = (FOREST, BOOSTER),
        metric: str = "mse",
        rows: Sequence[TrialRow] | None = None,
        **search: Any,
    ) -> Material:
        document = {
            "name": "prices",
            "data": {"source": "boston", "target": "MEDV"},
            "search": {"method": "random", "over": over, "folds": 2, "metric": metric, **search},
        }
        spec = Spec.model_validate(document)
        rng = random.Random(0)
        drawn = [draw(rng, number) for number in range(trials)]
        if rows is None:
            rows = [row(trial, score(trial.params)) for trial in drawn]
        return Material(
            study=Study(
                id="0123456789abcdef",
                name=spec.name,
                spec=canonical(spec),
                table="a" * 64,
                size=len(rows),
                state="finished",
                created=1_780_000_000.0,
                finished=1_780_000_183.0,
            ),
            spec=spec,
            metric=METRICS[metric],
            rows=tuple(rows),
        )

    return make


@pytest.fixture
def finished(searched: Callable[..., Material]) -> Callable[..., Material]:
    """A study whose best trial went all the way."""

    def make(
        *,
        classes: tuple[str, ...] | None = None,
        verdict: dict[str, Any] | None = None,
        **study: Any,
    ) -> Material:
        material = searched(**study)
        judgement = Judgement(
            model="prices", version=3, champion=2, rows="f" * 64, verdict=judged(**(verdict or {}))
        )
        return replace(
            material,
            candidate=candidate(material, classes),
            holdout=holdout(classes),
            version=Version(
                model="prices",
                number=3,
                study=material.study.id,
                trial=0,
                size=60,
                manifest="d" * 64,
            ),
            champion=3,
            judgement=judgement,
            environment={"python": "3.11.7", "packages": {"numpy": "2.4.6"}, "digests": {"x": "y"}},
        )

    return make


def candidate(material: Material, classes: tuple[str, ...] | None) -> Candidate:
    best = material.ranked[0].row.trial
    column = Column(name="RM", kind="number")
    return Candidate(
        study=material.study.id,
        trial=best.number,
        family=best.family,
        params=best.params,
        seed=0,
        metric=material.metric.name,
        holdout_score=7.25,
        training_rows=404,
        holdout_rows=4,
        signature=Signature(columns=(column,), target="MEDV", classes=classes),
        files={"model.onnx": File(digest="b" * 64, size=1_234_567)},
        parity=Parity(rows=4, beyond=0, worst=3e-6, tolerance=1e-4, passed=True),
    )


def holdout(classes: tuple[str, ...] | None) -> Predictions:
    if classes is None:
        return Predictions(true=[10.0, 20.0, 30.0, 40.0], predicted=[11.0, 19.0, 33.0, 41.0])
    return Predictions(
        true=[0, 1, 1, 0], predicted=[[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]]
    )


def judged(**changes: Any) -> Verdict:
    verdict = Verdict(
        decision="promote",
        text="promoted: mean squared error 7.25 against 8.1 of champion v2",
        against="champion v2",
        metric="mse",
        rows=102,
        judged=3,
        difference=0.85,
        low=-0.25,
        high=2.125,
        confidence=0.95,
    )
    return replace(verdict, **changes)
