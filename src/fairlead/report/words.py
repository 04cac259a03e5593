"""The report's sentences, and how its numbers and times read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime

from fairlead.formatting import count, params
from fairlead.report.material import Material

_METHODS = {
    "grid": "grid search",
    "random": "random search",
    "tpe": "Bayesian search (TPE)",
}
_MINUTE, _HOUR = 60.0, 3600.0


def number(value: float | None, *, digits: int = 5) -> str:
    """A number as a person reads it."""
    if value is None:
        return "none"
    if not math.isfinite(value):
        return str(value)
    if float(value).is_integer() or abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def seconds(duration: float) -> str:
    """A duration: 0.12 s, 3 min 20 s, 1 h 5 min."""
    if duration < _MINUTE:
        return f"{duration:.2g} s" if duration < 10 else f"{duration:.0f} s"  # noqa: PLR2004 - two digits either way
    whole = round(duration)
    if duration < _HOUR:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def listed(names: tuple[str, ...]) -> str:
    """Names in a sentence: a, b and c."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else "no family"


def moment(at: float) -> str:
    """A time, to the minute."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def story(material: Material) -> Iterator[str]:
    """What happened, a sentence or two at a time."""
    yield _searched(material)
    yield from _failed(material)
    if material.ranked:
        yield _best(material)
    if material.study.state == "finished" and material.candidate is None:
        yield without_candidate(material)
    if material.candidate and material.candidate.holdout_score is not None:
        yield _refitted(material)
    if material.version:
        yield _standing(material)


def verdict(text: str) -> tuple[str, str]:
    """A verdict's text as what was decided, such as 'Promoted', and why."""
    decided, _, why = text.partition(": ")
    return decided[:1].upper() + decided[1:], why


def _searched(material: Material) -> str:
    study, search = material.study, material.spec.search
    done = sum(row.result is not None for row in material.rows)
    trials = count(study.size, "trial")
    begun = trials if study.state == "finished" else f"{done:,} of {trials} so far"
    losses = [
        count(len(material.ended(state)), "trial") + f" {state}"
        for state in ("failed", "pruned")
        if material.ended(state)
    ]
    return (
        f"{begun} of {listed(material.families)} on {material.spec.data.source} "
        f"({material.metric.task}), by {_METHODS.get(search.method, search.method)}, "
        f"each scored on {search.folds} folds"
        f"{'; ' if losses else ''}{' and '.join(losses)}."
    )


def _failed(material: Material) -> Iterator[str]:
    for row in material.ended("failed")[:1]:
        why = row.result.reason if row.result else None
        yield f"Trial {row.trial.number} is the first that failed: {why or 'no reason is known'}."


def without_candidate(material: Material) -> str:
    """Why there is no refitted model of the best trial."""
    if material.study.state == "finished" and not material.ranked:
        return "No trial succeeded, so there is no model."
    if material.not_refitted:
        return f"Refitting the best trial failed, so there is no model: {material.not_refitted}."
    return "The best trial was not refitted yet."


def _best(material: Material) -> str:
    best = material.ranked[0]
    trial = best.row.trial
    return (
        f"Trial {trial.number} is the best, with a cross-validated {material.metric.name} of "
        f"{number(best.score)}: {trial.family} with {params(trial.params) or 'no parameters'}."
    )


def _refitted(material: Material) -> str:
    candidate = material.candidate
    assert candidate is not None
    return (
        f"Refitted on {count(candidate.training_rows, 'training row')}, its {candidate.metric} on "
        f"{count(candidate.holdout_rows, 'holdout row')} is {number(candidate.holdout_score)}."
    )


def _standing(material: Material) -> str:
    version = material.version
    assert version is not None
    named = f"It is version {version.number} of the model {version.model}"
    if material.champion is None:
        return f"{named}, which has no champion yet."
    if material.champion == version.number:
        return f"{named}, and its champion."
    return f"{named}; the champion is version {material.champion}."
