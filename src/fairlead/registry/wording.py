"""Verdicts in plain English."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fairlead.metrics import Metric
from fairlead.records import Scalar, Signature
from fairlead.spec.document import Promote

BASELINE = "the baseline"
_NAMES = {
    "mse": "mean squared error",
    "rmse": "root mean squared error",
    "mae": "mean absolute error",
    "r2": "R²",
    "balanced_accuracy": "balanced accuracy",
    "f1": "macro F1",
    "log_loss": "log loss",
    "roc_auc": "area under the ROC curve",
}
_BASELINES = {
    "regression": "always the mean of the training target",
    "classification": "always the class shares of the training rows",
}


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Two scores on the same rows.

    `difference` is how much better the candidate is, in the metric's unit (positive is better),
    with its interval [low, high] at `confidence`.
    """

    candidate: float
    other: float
    difference: float
    low: float
    high: float
    confidence: float


def compared(evidence: Evidence, *, metric: Metric, against: str, rows: int, judged: int) -> str:
    """What was seen: both scores, the difference and how sure it is."""
    digits = _decimals(evidence)
    one, other = f"{evidence.candidate:z.{digits}f}", f"{evidence.other:z.{digits}f}"
    name = _NAMES.get(metric.name, metric.name)
    whose = f"{against} ({_BASELINES[metric.task]})" if against == BASELINE else against
    return (
        f"{name} {one} against {other} of {whose} on {rows} rows; {_gain(evidence, digits)}; "
        f"these rows have judged {count(judged, 'candidate')}"
    )


def demand(terms: Promote) -> str:
    """What the spec asks for."""
    asked = {
        "better": f"better, by more than {terms.margin:g}",
        "confident": f"confident, so the whole interval must be above {terms.margin:g}",
    }
    return f"promote.when is {asked.get(terms.when, terms.when)}"


def unlike(mine: Signature, theirs: Signature, against: str) -> str:
    """Why two models with different signatures cannot be compared, and what to do about it."""
    return (
        f"{against} takes or gives something else ({_first_difference(mine, theirs)}), so no row "
        "is the same for both; a person can decide and promote it by hand"
    )


def count(number: int, noun: str) -> str:
    """A number of things: '1 candidate', '2 candidates'."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def percent(confidence: float) -> str:
    """A confidence with as many digits as tell it from 100 %: '95 %', '99.988 %'."""
    alpha = 100 * (1 - confidence)
    digits = max(0, 1 - math.floor(math.log10(alpha)))
    return f"{100 * confidence:.{digits}f}".rstrip("0").rstrip(".") + " %"


def _first_difference(mine: Signature, theirs: Signature) -> str:
    if mine.target != theirs.target:
        return f"target {theirs.target!r}, not {mine.target!r}"
    if mine.classes != theirs.classes:
        return f"classes {_listed(theirs.classes)}, not {_listed(mine.classes)}"
    columns, others = set(mine.columns), set(theirs.columns)
    new, gone = (
        ", ".join(f"{column.name!r} ({column.kind})" for column in side)
        for side in (
            [column for column in mine.columns if column not in others],
            [column for column in theirs.columns if column not in columns],
        )
    )
    if new or gone:
        return "; ".join(
            f"{word} {names}" for word, names in (("without", new), ("with", gone)) if names
        )
    return "the same columns in another order"


def _listed(classes: Sequence[Scalar] | None) -> str:
    return "none (a number)" if classes is None else ", ".join(map(repr, classes))


def _gain(evidence: Evidence, digits: int) -> str:
    size = f"{abs(evidence.difference):.{digits}f}"
    sign = "better" if evidence.difference > 0 else "worse"
    size = f"{sign} by {size}" if evidence.difference else "no difference"
    low, high = f"{evidence.low:z.{digits}f}", f"{evidence.high:z.{digits}f}"
    return f"{size} ({percent(evidence.confidence)} interval of the gain {low} to {high})"


def _decimals(evidence: Evidence) -> int:
    """As many as show three digits of the difference."""
    scale = abs(evidence.difference) or max(abs(evidence.candidate), 1e-6)
    return min(12, max(0, 2 - math.floor(math.log10(scale))))
