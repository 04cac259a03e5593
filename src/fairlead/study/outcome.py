"""What came of a run.

Belongs here: the record that the command line, notebooks and tests read, and its JSON form. Does
not: how it is printed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from fairlead.metrics import METRICS, Metric
from fairlead.records import Candidate, Counts, Params, Study, TrialRow, Verdict, Version

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best trial."""

    number: int
    family: str
    params: Params
    score: float  # mean over the folds


class Trials(Sequence[TrialRow]):
    """The trials of a study, by number."""

    def __init__(self, rows: Sequence[TrialRow]) -> None:
        self._rows = tuple(rows)

    @overload
    def __getitem__(self, index: int) -> TrialRow: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[TrialRow]: ...
    def __getitem__(self, index: int | slice) -> TrialRow | Sequence[TrialRow]:
        """The trial at this place."""
        return self._rows[index]

    def __len__(self) -> int:
        """How many there are."""
        return len(self._rows)

    def __iter__(self) -> Iterator[TrialRow]:
        """One after another."""
        return iter(self._rows)

    def to_json(self) -> list[dict[str, Any]]:
        """A mapping a trial, as `fairlead trials --json` prints it."""
        return [trial_json(row) for row in self._rows]

    def to_frame(self) -> pd.DataFrame:
        """A pandas DataFrame: a row a trial, a column `params.NAME` for each parameter."""
        import pandas as pd

        return pd.DataFrame([flat(row) for row in self._rows])


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a run."""

    study: Study
    best: Best
    trials: Trials
    candidate: Candidate
    version: Version
    promoted: bool  # whether the version is champion because of its verdict
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """The object that `fairlead run --json` prints."""
        return {
            "study": self.study.id,
            "model": self.version.model,
            "best": {
                "number": self.best.number,
                "family": self.best.family,
                "params": dict(self.best.params),
                "score": self.best.score,
            },
            "metric": self.candidate.metric,
            "holdout_score": self.candidate.holdout_score,
            "trials": self.trials.to_json(),
            "version": self.version.number,
            "promoted": self.promoted,
            "verdict": self.verdict.text,
        }


def trial_json(row: TrialRow) -> dict[str, Any]:
    """One trial as JSON; its scores are empty until it has some."""
    result = row.result
    return {
        "number": row.trial.number,
        "family": row.trial.family,
        "params": dict(row.trial.params),
        "scores": list(result.scores) if result else [],
        "score": result.score if result else None,
        "state": row.state,
        "attempts": result.attempts if result else 0,
        "seconds": result.seconds if result else None,
        "reason": result.reason if result else None,
    }


def flat(row: TrialRow) -> dict[str, Any]:
    """One trial as one row of a table: a column for each parameter and for each fold."""
    fields = trial_json(row)
    params: Mapping[str, Any] = fields.pop("params")
    scores: Sequence[float] = fields.pop("scores")
    named = {f"params.{name}": value for name, value in params.items()}
    return {**fields, **named, **{f"fold.{fold}": score for fold, score in enumerate(scores)}}


def best_of(study: Study, trials: Trials) -> Best | None:
    """The study's best trial; None where none has a score."""
    if study.best is None:
        return None
    row = next(row for row in trials if row.trial.number == study.best)
    assert row.result is not None
    assert row.result.score is not None
    return Best(
        number=row.trial.number,
        family=row.trial.family,
        params=row.trial.params,
        score=row.result.score,
    )


def metric_of(study: Study) -> Metric:
    """What the study's trials are scored with."""
    return METRICS[json.loads(study.spec)["search"]["metric"]]


def study_row(study: Study, counts: Counts, best: float | None) -> dict[str, Any]:
    """One study as one row of a table."""
    return {
        "study": study.id,
        "name": study.name,
        "state": study.state,
        "done": counts.done,
        "failed": counts.failed,
        "pruned": counts.pruned,
        "size": study.size,
        "metric": metric_of(study).name,
        "best": study.best,
        "score": best,
    }


def ranked(study: Study, trials: Trials) -> list[TrialRow]:
    """The trials, the best first; those without a score last, by number."""
    sign = -1 if metric_of(study).greater_is_better else 1

    def place(row: TrialRow) -> tuple[bool, float, int]:
        score = row.result.score if row.result else None
        return score is None, sign * (score or 0.0), row.trial.number

    return sorted(trials, key=place)
