"""The gate: whether a candidate becomes champion, decided from predictions alone.

docs/gate.md tells a user the same in words. Models are judged by their exported form, which
predicts in float32: differences that rounding could have made are taken out before anything is
scored, since a score over many rows may turn these into a gain that is small, sure, and made of
rounding.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fairlead.metrics import Metric
from fairlead.records import Decision, Verdict
from fairlead.registry.bootstrap import resample
from fairlead.registry.wording import Evidence, compared, count, demand
from fairlead.spec.document import Promote

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


from typing import TYPE_CHECKING

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
        against: "champion v3" or `wording.BASELINE`.
        judged: Candidates that these rows have judged by now, this one included.
        seed: Of the resampling.
        incomparable: Why the other cannot predict these rows.
    """

    true: NDArray[Any]
    candidate: NDArray[np.float64]
    other: NDArray[np.float64] | None
    against: str
    judged: int
    seed: int
    incomparable: str | None = None


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


def too_few(rows: int) -> str:
    """Why so few rows judge nobody, and what to do about it."""
    return (
        f"only {count(rows, 'row')} of the holdout {'is' if rows == 1 else 'are'} new to both "
        f"models, and {MIN_ROWS} are needed; with holdout.by: hash a row keeps its side as the "
        "data grows, as long as data.seed, holdout.share and the columns stay as they were"
    )


_ANSWERS = {"promote": "promoted", "keep": "kept, not promoted"}


def _answer(case: Case, metric: Metric, terms: Promote, seen: Evidence) -> Verdict:
    decision = decide(seen, terms)
    said = compared(
        seen, metric=metric, against=case.against, rows=len(case.true), judged=case.judged
    )
    text = f"{_ANSWERS[decision]}: {said}"
    if decision == "keep" or terms.when == "always":
        text += f"; {demand(terms)}"
    return _verdict(case, metric, decision, text, seen)


def _unseen(case: Case, metric: Metric, terms: Promote, why: str) -> Verdict:
    if terms.when in {"better", "confident"}:
        return _verdict(case, metric, "cannot judge", f"cannot judge: {why}")
    decision: Decision = "promote" if terms.when == "always" else "keep"
    text = f"{_ANSWERS[decision]}: {demand(terms)}; not compared: {why}"
    return _verdict(case, metric, decision, text)


def _evidence(case: Case, metric: Metric, confidence: float) -> Evidence | str:
    """Both scores and the interval, or why there are none."""
    if case.other is None:
        return case.incomparable or f"{case.against} gave no predictions"
    if len(case.true) < MIN_ROWS:
        return too_few(len(case.true))
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
