"""What came of a run: the record that commands and notebooks read, its JSON form, and its text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from fairlead.formatting import count, laid_out, params, size
from fairlead.metrics import METRICS, Metric
from fairlead.records import (
    Candidate,
    Counts,
    Params,
    Result,
    Study,
    TrialRow,
    Verdict,
    Version,
)

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 5  # trials in the repr of Trials
_SHOWN_IN_HTML = 20


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

    def __repr__(self) -> str:
        """How many ended how, and the first few; `to_frame()` has all."""
        states = Counter(row.state for row in self._rows)
        ended = ", ".join(f"{many} {state}" for state, many in states.items()) or "none"
        lines = [f"{count(len(self), 'trial')}: {ended}", *map(_in_a_line, self._rows[:_SHOWN])]
        if len(self) > _SHOWN:
            lines.append(f"... and {len(self) - _SHOWN} more: to_frame() has all")
        return "\n".join(lines)

    def _repr_html_(self) -> str | None:
        """The table that a notebook shows; None, which shows the repr, where pandas is missing."""
        try:
            return str(self.to_frame().to_html(max_rows=_SHOWN_IN_HTML))
        except ImportError:
            return None

    def to_json(self) -> list[dict[str, Any]]:
        """A mapping a trial, as `fairlead trials --json` prints it."""
        return [trial_json(row) for row in self._rows]

    def failures(self) -> str | None:
        """How many failed, and why the first of them did; None where none did."""
        failed = [row for row in self._rows if row.state == "failed"]
        if not failed:
            return None
        first = failed[0]
        why = first.result.reason if first.result and first.result.reason else "no reason is known"
        many = f"{len(failed):,} of {count(len(self), 'trial')}"
        return f"{many}; the first, trial {first.trial.number}, with: {why}"

    def to_frame(self) -> pd.DataFrame:
        """A pandas DataFrame: a row a trial, a column `params.NAME` for each parameter."""
        import pandas as pd

        return pd.DataFrame([flat(row) for row in self._rows])


@dataclass(frozen=True, kw_only=True, repr=False)
class RunOutcome:
    """What came of a run."""

    study: Study
    best: Best
    trials: Trials
    candidate: Candidate
    version: Version
    promoted: bool  # whether the version is champion because of its verdict
    verdict: Verdict

    def __repr__(self) -> str:
        """The lines that `fairlead run` prints."""
        return laid_out(self.in_words())

    def in_words(self) -> list[tuple[str, str]]:
        """A name and a value for each line to show."""
        best, version = self.best, self.version
        failed = self.trials.failures()
        return [
            ("best trial", f"{best.number} of {len(self.trials)}: {best.family}"),
            *([("failed", failed)] if failed else []),
            ("parameters", params(best.params) or "the library's own"),
            (self.candidate.metric, self._scores()),
            ("exported", self._exported()),
            ("version", f"{version.model} v{version.number} (study {self.study.id})"),
            ("verdict", self.verdict.text),
        ]

    def _scores(self) -> str:
        candidate = self.candidate
        score = f"{self.best.score:.6g} cross-validated"
        on = f"on {count(candidate.holdout_rows, 'holdout row')}"
        held = candidate.holdout_score
        return f"{score}, {held:.6g} {on}" if held is not None else f"{score}; none {on}"

    def _exported(self) -> str:
        candidate, parity = self.candidate, self.candidate.parity
        if parity is None:
            return f"no: {candidate.unexportable}"
        equal = f"{parity.rows - parity.beyond} of {count(parity.rows, 'holdout row')}"
        return f"ONNX, {size(candidate.files['model.onnx'].size)}; {equal} as the trained model"

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
        "curve": list(result.curve) if result else [],
    }


def _in_a_line(row: TrialRow) -> str:
    score = row.result.score if row.result else None
    state = row.state if score is None else f"{row.state} {score:.6g}"
    return f"  {row.trial.number}  {state}  {in_words(row)}"


def in_words(row: TrialRow) -> str:
    """What the trial is, and why it failed or was pruned."""
    of = params(row.trial.params)
    words = f"{row.trial.family}: {of}" if of else row.trial.family
    return f"{words}; {row.result.reason}" if row.result and row.result.reason else words


def flat(row: TrialRow) -> dict[str, Any]:
    """One trial as one row of a table: a column for each parameter, each fold and each epoch."""
    fields = trial_json(row)
    params: Mapping[str, Any] = fields.pop("params")
    scores: Sequence[float] = fields.pop("scores")
    curve: Sequence[float] = fields.pop("curve")
    return {
        **fields,
        **{f"params.{name}": value for name, value in params.items()},
        **{f"fold.{fold}": score for fold, score in enumerate(scores)},
        **{f"epoch.{epoch}": score for epoch, score in enumerate(curve, start=1)},
    }


def best_of(study: Study, trials: Trials) -> Best | None:
    """The study's best trial, or the best so far of one that is not finished.

    Returns:
        None where none has a score.
    """
    rows = list(trials) if study.state == "searching" else _decided(study, trials)
    row = next(iter(ranked(study, Trials(rows))), None)
    if row is None or row.result is None or row.result.score is None:
        return None
    return Best(
        number=row.trial.number,
        family=row.trial.family,
        params=row.trial.params,
        score=row.result.score,
    )


def _decided(study: Study, trials: Trials) -> list[TrialRow]:
    """The trial that the finished study decided on; ranks cannot tell which results it saw."""
    return [row for row in trials if row.trial.number == study.best]


def metric_of(study: Study) -> Metric:
    """What the study's trials are scored with."""
    return METRICS[json.loads(study.spec)["search"]["metric"]]


def study_row(study: Study, counts: Counts, best: Best | Result | None) -> dict[str, Any]:
    """One study as one row of a table; the best is the best so far until it is finished."""
    return {
        "study": study.id,
        "name": study.name,
        "state": study.state,
        "done": counts.done,
        "failed": counts.failed,
        "pruned": counts.pruned,
        "size": study.size,
        "metric": metric_of(study).name,
        "best": best.number if best else None,
        "score": best.score if best else None,
        "priority": study.priority,
    }


def ranked(study: Study, trials: Trials) -> list[TrialRow]:
    """The trials, the best first; those without a score last, by number."""
    sign = -1 if metric_of(study).greater_is_better else 1

    def place(row: TrialRow) -> tuple[bool, float, int]:
        score = row.result.score if row.result else None
        return score is None, sign * (score or 0.0), row.trial.number

    return sorted(trials, key=place)
