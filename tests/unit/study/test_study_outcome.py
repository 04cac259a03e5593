"""What came of a run, as programs read it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from fairlead.records import (
    Candidate,
    Counts,
    File,
    Parity,
    Result,
    Signature,
    Study,
    StudyState,
    Trial,
    TrialRow,
    Verdict,
    Version,
)
from fairlead.settings import from_environment
from fairlead.study.outcome import Best, RunOutcome, Trials, best_of, ranked, study_row
from fairlead.study.provenance import study_json


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


def study(metric: str, best: int | None = None, *, state: StudyState = "searching") -> Study:
    spec = json.dumps({"search": {"metric": metric}})
    return Study(id="s", name="n", spec=spec, table="t", size=3, best=best, state=state)


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
        "curve": [],
    }


def learned() -> TrialRow:
    """A trial that was pruned after its second epoch."""
    trial = Trial(number=0, family="keras", params={"units": 8})
    result = Result(number=0, state="pruned", reason="worse", curve=(0.5, 0.25))
    return TrialRow(trial=trial, state="pruned", result=result)


def test_scores_by_epoch_are_the_curve_of_a_trial_and_columns_of_a_frame() -> None:
    assert Trials([learned()]).to_json()[0]["curve"] == [0.5, 0.25]
    frame = Trials([learned(), row(1, 2.0)]).to_frame()
    assert frame.loc[0, ["epoch.1", "epoch.2"]].tolist() == [0.5, 0.25]
    assert "epoch.0" not in frame.columns


def test_provenance_has_the_curve_of_trials_that_have_one() -> None:
    kept = json.loads(study_json(study("mse"), "f", Trials([learned(), row(1, 2.0)])))
    assert [trial.get("curve") for trial in kept["trials"]] == [[0.5, 0.25], None]


def test_a_finished_study_has_the_best_trial_that_it_decided_on() -> None:
    best = best_of(study("mse", best=2, state="finished"), TRIALS)
    assert best is not None
    assert (best.number, best.score, best.params) == (2, 1.0, {"b": 3})
    assert best_of(study("mse", state="finished"), TRIALS) is None


@pytest.mark.parametrize(("metric", "number"), [("mse", 2), ("r2", 0)])
def test_a_study_that_goes_on_has_the_best_so_far(metric: str, number: int) -> None:
    best = best_of(study(metric), TRIALS)
    assert best is not None
    assert best.number == number
    told = study_row(study(metric), Counts(done=2, failed=1), best)
    assert (told["state"], told["best"], told["score"]) == ("searching", number, best.score)


def test_a_study_without_a_score_has_no_best_trial() -> None:
    assert best_of(study("mse"), Trials([row(1, None)])) is None
    assert study_row(study("mse"), Counts(), None)["score"] is None


# ---- as a notebook shows it -----------------------------------------------------------------


def test_trials_show_how_they_ended_and_the_first_few() -> None:
    many = Trials([row(0, None, alpha=0.0005512450963006289), *(row(n, 2.0) for n in range(1, 8))])
    assert repr(many).splitlines()[:2] == [
        "8 trials: 1 failed, 7 done",
        "  0  failed  random_forest: alpha=0.000551245; no luck",
    ]
    assert repr(many).splitlines()[-1] == "... and 3 more: to_frame() has all"
    assert repr(Trials([])) == "0 trials: none"


def test_a_notebook_shows_trials_as_the_table_of_their_frame() -> None:
    html = TRIALS._repr_html_()
    assert html is not None
    assert "<table" in html
    assert "params.a" in html


OUTCOME = RunOutcome(
    study=study("mse", best=2, state="finished"),
    best=Best(number=2, family="ridge", params={"alpha": 0.0005512450963006289}, score=15.991234),
    trials=TRIALS,
    candidate=Candidate(
        study="s",
        trial=2,
        family="ridge",
        params={},
        seed=0,
        metric="mse",
        holdout_score=16.5,
        training_rows=4,
        holdout_rows=1,
        signature=Signature(columns=(), target="y"),
        files={"model.onnx": File(digest="0" * 64, size=4_312)},
        parity=Parity(rows=1, beyond=0, worst=0.0, tolerance=1e-4, passed=True),
    ),
    version=Version(model="n", number=1, study="s", trial=2, size=3, manifest="m"),
    promoted=True,
    verdict=Verdict(
        decision="promote",
        text="promoted: " + "well " * 20,
        against="",
        metric="",
        rows=1,
        judged=1,
    ),
)


def test_an_outcome_shows_as_the_lines_that_run_prints() -> None:
    lines = repr(OUTCOME).splitlines()
    assert lines[:6] == [
        "best trial  2 of 3: ridge",
        "failed      1 of 3 trials; the first, trial 1, with: no luck",
        "parameters  alpha=0.000551245",
        "mse         15.9912 cross-validated, 16.5 on 1 holdout row",
        "exported    ONNX, 4.31 kB; 1 of 1 holdout row as the trained model",
        "version     n v1 (study s)",
    ]
    assert max(map(len, lines)) <= 80
    assert OUTCOME.to_json()["best"]["params"] == {"alpha": 0.0005512450963006289}


def suggested(outcome: RunOutcome, capsys: pytest.CaptureFixture[str]) -> list[str]:
    from fairlead.cli.commands.run import _show

    _show(outcome, from_environment({}), "n")
    told = capsys.readouterr().err.splitlines()
    return [line.removeprefix("next: fairlead ") for line in told if line.startswith("next: ")]


def test_where_trials_failed_the_command_that_shows_why_is_named(capsys: Any) -> None:
    from fairlead.cli.commands.run import _show

    shows_why = "`fairlead trials n` shows why trials failed"
    well = dataclasses.replace(OUTCOME, trials=Trials([TRIALS[0], TRIALS[2]]))
    for outcome, said in ((OUTCOME, True), (well, False)):
        _show(outcome, from_environment({}), "n")
        assert (shows_why in capsys.readouterr().err) == said


def test_predict_is_suggested_only_as_it_would_work(capsys: Any) -> None:
    assert suggested(OUTCOME, capsys) == ["report n", "predict n ROWS.csv"]
    kept = dataclasses.replace(OUTCOME, promoted=False)
    assert suggested(kept, capsys) == ["report n", "predict n ROWS.csv --version 1"]
    own = dataclasses.replace(OUTCOME.candidate, parity=None, unexportable="no converter")
    assert suggested(dataclasses.replace(kept, candidate=own), capsys) == ["report n"]
