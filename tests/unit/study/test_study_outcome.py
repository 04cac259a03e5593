"""What came of a run, as programs read it."""

from __future__ import annotations

import json

from fairlead.records import Result, Study, Trial, TrialRow
from fairlead.study.outcome import Trials, best_of, ranked


def row(number: int, score: float | None, **params: float) -> TrialRow:
    result = Result(
        number=number,
        state="failed" if score is None else "done",
        scores=() if score is None else (score, score),
        score=score,
        reason="no luck" if score is None else None,
    )
    trial = Trial(number=number, family="random_forest", params=params)
    return TrialRow(trial=trial, state=result.state, result=result)


def study(metric: str, best: int | None = None) -> Study:
    spec = json.dumps({"search": {"metric": metric}})
    return Study(id="s", name="n", spec=spec, table="t", size=3, best=best)


TRIALS = Trials([row(0, 2.0, a=1), row(1, None, a=2), row(2, 1.0, b=3)])


def test_the_best_come_first_and_those_without_a_score_last() -> None:
    assert [r.trial.number for r in ranked(study("mse"), TRIALS)] == [2, 0, 1]
    assert [r.trial.number for r in ranked(study("r2"), TRIALS)] == [0, 2, 1]


def test_a_frame_has_a_row_a_trial_and_a_column_a_parameter_and_fold() -> None:
    frame = TRIALS.to_frame()
    assert list(frame["number"]) == [0, 1, 2]
    assert {"params.a", "params.b", "fold.0", "fold.1", "reason"} <= set(frame.columns)
    assert frame.loc[2, "fold.1"] == 1.0


def test_a_trial_in_json_has_what_the_documents_promise() -> None:
    assert TRIALS.to_json()[1] == {
        "number": 1,
        "family": "random_forest",
        "params": {"a": 2},
        "scores": [],
        "score": None,
        "state": "failed",
        "attempts": 1,
        "seconds": 0.0,
        "reason": "no luck",
    }


def test_a_study_without_a_score_has_no_best_trial() -> None:
    assert best_of(study("mse"), TRIALS) is None
    best = best_of(study("mse", best=2), TRIALS)
    assert best is not None
    assert (best.number, best.score, best.params) == (2, 1.0, {"b": 3})
