"""The gate: whether a candidate becomes champion, decided from predictions alone.

docs/gate.md explains it to users. Models are judged by their exported form, which
predicts in float32: differences that rounding could have made are taken out before anything is
scored, since a score over many rows may turn these into a gain that is small, sure, and made of
rounding.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from fairlead.data.features import Rows
from fairlead.data.lexicon import missing_texts
from fairlead.data.split import lacking
from fairlead.formatting import classes
from fairlead.metrics import Metric
from fairlead.records import Column, Decision, Scalar, Signature, Verdict
from fairlead.registry.bootstrap import resample
from fairlead.spec.document import Promote

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


MIN_ROWS = 30


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is put before the gate: two models' predictions for the same rows.

    Args:
        true: [rows]: float64, or int64 class indexes.
        candidate: Its predictions: float64 [rows] or [rows, classes].
        other: Those of what it is judged against, likewise; None where `incomparable`.
        against: "champion v3" or `BASELINE`.
        judged: Candidates that these rows have judged by now, this one included.
        seed: Of the resampling.
        incomparable: Why the other cannot predict these rows.
        classes: The table's; None for regression.
    """

    true: NDArray[Any]
    candidate: NDArray[np.float64]
    other: NDArray[np.float64] | None
    against: str
    judged: int
    seed: int
    incomparable: str | None = None
    classes: tuple[Scalar, ...] | None = None

    @property
    def lacking(self) -> str:
        """A clause that ends a verdict: which classes these rows say nothing of; mostly empty."""
        missing = lacking(self.true, self.classes) if len(self.true) else ()
        return f"; no row of {classes(missing)} is among them" if missing else ""


def judge(case: Case, *, metric: Metric, terms: Promote) -> Verdict:
    """Decide whether the candidate becomes champion, and say why.

    Args:
        case: The evidence.
        metric: What the predictions are scored with.
        terms: The spec's `promote`.
    """
    if broken := _not_finite(case.candidate):
        text = f"predicts NaN or infinity for {count(broken, 'row')} of {len(case.true)}"
        return _verdict(case, metric, "keep", f"kept, not promoted: the candidate {text}")
    seen = _evidence(case, metric, confidence_of(terms, case.judged))
    if isinstance(seen, str):
        return _unseen(case, metric, terms, seen)
    return _answer(case, metric, terms, seen)


def decide(evidence: Evidence, terms: Promote) -> Decision:
    """What the spec's terms make of the evidence."""
    met = {
        "always": True,
        "never": False,
        "better": evidence.difference > terms.margin,
        "confident": evidence.low > terms.margin,
    }
    return "promote" if met[terms.when] else "keep"


def confidence_of(terms: Promote, judged: int) -> float:
    """The confidence of the interval that decides.

    `confident` spends alpha / (k (k + 1)) on the k-th candidate that the same rows judge; over all
    k these sum to alpha, so the chance that any of them wins by luck stays below it (Bonferroni's
    inequality), however often one tries.
    """
    alpha = 1 - terms.confidence
    return 1 - alpha / (judged * (judged + 1)) if terms.when == "confident" else terms.confidence


def baseline(training: NDArray[Any], classes: int | None, rows: int) -> NDArray[Any]:
    """What predicting without looking at the features gives.

    Args:
        training: Target of the training rows.
        classes: Number of classes; None for regression.
        rows: Number of predictions.

    Returns:
        The training mean, float64 [rows]; or the training shares of the classes (so the class
        they predict is the majority class), float32 [rows, classes], as exported models give them.
    """
    import numpy as np

    if classes is None:
        return np.full(rows, training.mean(), dtype=np.float64)
    shares = np.bincount(training, minlength=classes) / len(training)
    return np.tile(shares.astype(np.float32), (rows, 1))


def too_few(rows: int, against: str) -> str:
    """Why so few rows judge nobody, and what to do about it.

    Args:
        rows: How many there are.
        against: As a case has it: without a champion there is one model, and all of its holdout.
    """
    few = f"only {count(rows, 'row')} of the holdout {'is' if rows == 1 else 'are'} new to"
    if against == BASELINE:
        return (
            f"{few} the model, and {MIN_ROWS} are needed; with more rows of data, or a larger "
            "data.holdout.share, there are"
        )
    return (
        f"{few} both models, and {MIN_ROWS} are needed; with holdout.by: hash a row keeps its "
        "side as the data grows, as long as data.seed, holdout.share and the columns stay as they "
        "were"
    )


_ANSWERS = {"promote": "promoted", "keep": "kept, not promoted"}


def _answer(case: Case, metric: Metric, terms: Promote, seen: Evidence) -> Verdict:
    decision = decide(seen, terms)
    said = compared(
        seen, metric=metric, against=case.against, rows=len(case.true), judged=case.judged
    )
    text = f"{_ANSWERS[decision]}: {said}{case.lacking}"
    if decision == "keep" or terms.when == "always":
        text += f"; {demand(terms)}"
    return _verdict(case, metric, decision, text, seen)


def _unseen(case: Case, metric: Metric, terms: Promote, why: str) -> Verdict:
    if terms.when in {"better", "confident"}:
        return _verdict(case, metric, "cannot judge", f"cannot judge: {why}{case.lacking}")
    decision: Decision = "promote" if terms.when == "always" else "keep"
    text = f"{_ANSWERS[decision]}: {demand(terms)}; not compared: {why}{case.lacking}"
    return _verdict(case, metric, decision, text)


def _evidence(case: Case, metric: Metric, confidence: float) -> Evidence | str:
    """Both scores and the interval, or why there are none."""
    if case.other is None:
        return case.incomparable or f"{case.against} gave no predictions"
    if len(case.true) < MIN_ROWS:
        return too_few(len(case.true), case.against)
    if broken := _not_finite(case.other):
        return f"{case.against} predicts NaN or infinity for {count(broken, 'row')}"
    with warnings.catch_warnings():
        # Scores that are not defined, or too large for a float, are answered in _compare.
        warnings.simplefilter("ignore")
        return _compare(case, case.other, metric, confidence)


def _compare(
    case: Case, theirs: NDArray[np.float64], metric: Metric, confidence: float
) -> Evidence | str:
    mine = settled(case.true, case.candidate, theirs)
    one, other = metric.score(case.true, mine), metric.score(case.true, theirs)
    if not (math.isfinite(one) and math.isfinite(other)):
        return f"{metric.name} has no finite value on these {count(len(case.true), 'row')}"
    seen = resample(case.true, mine, theirs, metric=metric, seed=case.seed)
    if not seen.known:
        return f"{metric.name} has no value on most resamples of these rows: a class is too rare"
    low, high = seen.interval(confidence)
    return Evidence(
        candidate=one,
        other=other,
        difference=metric.gain(one, other),
        low=low,
        high=high,
        confidence=confidence,
    )


def _verdict(
    case: Case, metric: Metric, decision: Decision, text: str, seen: Evidence | None = None
) -> Verdict:
    return Verdict(
        decision=decision,
        text=text,
        against=case.against,
        metric=metric.name,
        rows=len(case.true),
        judged=case.judged,
        **(asdict(seen) if seen else {}),
    )


def _not_finite(predicted: NDArray[np.float64]) -> int:
    """Number of rows with a prediction that is NaN or infinite."""
    import numpy as np

    finite = np.isfinite(predicted)
    return int((~(finite.all(axis=1) if finite.ndim > 1 else finite)).sum())


RESOLUTION = 2.0**-20
"""Eight steps of float32 near 1: about one in a million."""


def settled(
    true: NDArray[Any], candidate: NDArray[np.float64], other: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The candidate's predictions, with the other's where rounding alone may tell them apart.

    Numbers are held against the largest of both predictions and the standard deviation of the
    target, since sums of terms of that size were rounded on the way; probabilities against 1, and
    a row is the same only if all its classes are.

    Args:
        true: [rows]: float64, or int64 class indexes.
        candidate: Its predictions: float64 [rows], or float32 or float64 [rows, classes].
        other: What it is compared with, likewise.
    """
    import numpy as np

    near = np.abs(candidate - other) <= RESOLUTION * _size(true, candidate, other)
    same = near.all(axis=1) if near.ndim > 1 else near
    result = candidate.copy()
    result[same] = other[same]
    return result


def _size(
    true: NDArray[Any], candidate: NDArray[np.float64], other: NDArray[np.float64]
) -> NDArray[np.float64] | float:
    """What the predictions were rounded at, [rows], or 1 for probabilities."""
    import numpy as np

    if candidate.ndim > 1:
        return 1.0
    larger = np.maximum(np.abs(candidate), np.abs(other))
    size: NDArray[np.float64] = np.maximum(larger, true.std())
    return size


# ---- verdicts in plain English ----------------------------------------------------------------


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


def comparable(mine: Signature, theirs: Signature, features: Rows) -> bool:
    """Whether both models are told the same by these rows, so that they can be compared on them.

    How a number is written does not matter. What a text is known by does, and so do words that are
    a text to one model and a missing one to the other, where there may be one among the rows.

    Args:
        mine: Signature of the version that the rows were read for.
        theirs: Signature of the other one.
        features: The rows.
    """
    if _given(mine) != _given(theirs):
        return False
    here, there = missing_texts(mine.missing), missing_texts(theirs.missing)
    lost = bool(here - there) and any((block.text < 0).any() for block in features.blocks())
    return not lost and (there - here).isdisjoint(chain.from_iterable(features.categories))


def _given(signature: Signature) -> tuple[object, ...]:
    """The target, its classes, and each column's name, kind and what its texts are known by."""
    columns = tuple((column.name, _known_as(column)) for column in signature.columns)
    return signature.target, signature.classes, columns


def _known_as(column: Column) -> str:
    of_type = column.kind == "text" and column.type is not None
    return f"{column.type} as text" if of_type else column.kind


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
    columns, others = (
        {column.name: _known_as(column) for column in side.columns} for side in (mine, theirs)
    )
    new, gone = (
        ", ".join(f"{name!r} ({kind})" for name, kind in side if (name, kind) not in other)
        for side, other in (
            (columns.items(), others.items()),
            (others.items(), columns.items()),
        )
    )
    if new or gone:
        return "; ".join(
            f"{word} {names}" for word, names in (("without", new), ("with", gone)) if names
        )
    if list(columns) == list(others):
        return "other texts stand for a missing one"
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
