"""One trial of a spec, scored in this process as a worker's child does it.

For programs that choose parameters themselves, such as Katib: there is no study, no ledger and no
queue. The same parameters give the score that they have in a study of the spec.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fairlead.artifacts import Artifacts
from fairlead.data import store
from fairlead.errors import Failed, Invalid
from fairlead.families.user_code import contained
from fairlead.formatting import did_you_mean
from fairlead.records import Params, Scalar, Trial
from fairlead.settings import Settings
from fairlead.spec.document import FamilySpace, Spec, canonical
from fairlead.spec.space import Range, Values, written
from fairlead.study import plan as plans
from fairlead.study.plan import StudyPlan
from fairlead.training.study_context import StudyContext

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")


@dataclass(frozen=True, kw_only=True)
class ScoredTrial:
    """What came of a trial.

    Args:
        family: That was fitted.
        params: With these parameters.
        metric: Name of what `score` is.
        score: Mean over the folds.
        scores: Of each fold.
        remarks: What a person should know of the spec, a line each.
    """

    family: str
    params: Params
    metric: str
    score: float
    scores: Sequence[float]
    remarks: Sequence[str]


def score_trial(
    spec: Spec, given: Mapping[str, str], *, family: str | None, base: Path, settings: Settings
) -> ScoredTrial:
    """Score one trial of a spec.

    Args:
        spec: The user's.
        given: The searched parameters, as they are written; those with one value may be left out.
        family: Of `search.over`; None where there is one.
        base: Folder that the spec's relative paths start from.
        settings: The installation's.

    Raises:
        Invalid: The spec or the data cannot be used, or the parameters are not those of the spec.
        Failed: The trial has no score.
    """
    plan = plans.make(spec, base=base, settings=settings)
    space = _space(plan.spec, family)
    params = chosen(space.params or {}, given)
    trial = Trial(number=0, family=space.family, params=params)
    with tempfile.TemporaryDirectory(prefix="fairlead-") as folder:
        scores, score = _scored(plan, trial, Path(folder), settings.memory_for_data)
    return ScoredTrial(
        family=trial.family,
        params=params,
        metric=plan.metric.name,
        score=score,
        scores=scores,
        remarks=plan.remarks,
    )


def chosen(space: Mapping[str, Values], given: Mapping[str, str]) -> Params:
    """The parameters of a trial, each with the type that the space gives it.

    Args:
        space: What each may be.
        given: Texts, such as `null` or `0.1`.

    Raises:
        Invalid: One is not in the space or is none of its values, or one is missing.
    """
    for name in given:
        if name not in space:
            known = did_you_mean(name, tuple(space)) or f"; there are {', '.join(space)}"
            raise Invalid(f"--param {name}: the spec has no such parameter{known}")
    return {name: _value(name, values, given.get(name)) for name, values in space.items()}


def _scored(
    plan: StudyPlan, trial: Trial, folder: Path, memory: int
) -> tuple[Sequence[float], float]:
    artifacts = Artifacts(str(folder))
    context = StudyContext(
        spec=canonical(plan.spec),
        table=store.save(plan.table, artifacts),
        sources={name: artifacts.put(source).digest for name, source in plan.sources.items()},
        artifacts=artifacts,
        memory=memory,
    )
    try:
        with contained():
            result = context.score([trial])[0]
    except (Exception, SystemExit) as error:
        raise Failed(f"fitting {trial.family!r}: {type(error).__name__}: {error}") from error
    if result.score is None:
        raise Failed(f"scoring {trial.family!r}: {result.reason}")
    return result.scores, result.score


def _space(spec: Spec, family: str | None) -> FamilySpace:
    over = spec.search.over
    names = ", ".join(space.family for space in over)
    if family is None and len(over) > 1:
        raise Invalid(f"search.over has several families: choose one with --family ({names})")
    found = next((space for space in over if family in {None, space.family}), None)
    if found is None:
        raise Invalid(f"--family {family!r}: search.over has {names}")
    return found


def _value(name: str, values: Values, text: str | None) -> Scalar:
    if not isinstance(values, Range):
        listed = values if isinstance(values, tuple) else (values,)
        if text is None and len(listed) == 1:
            return listed[0]
        found = [value for value in listed if written(value) == text]
        if text is None or not found:
            among = ", ".join(map(written, listed))
            raise Invalid(f"--param {name}{_given(text)}: give one of {among}")
        return found[0]
    if text is None:
        raise Invalid(f"--param {name}: give a number, such as {name}={values.low}")
    return _number(name, values, text)


def _number(name: str, values: Range, text: str) -> int | float:
    """Not held to the range: who draws on a log scale may miss its ends by a rounding."""
    if values.whole and not _WHOLE.fullmatch(text):
        raise Invalid(f"--param {name}={text}: it takes a whole number")
    try:
        return int(text) if values.whole else float(text)
    except ValueError:
        raise Invalid(f"--param {name}={text}: it takes a number") from None


def _given(text: str | None) -> str:
    return "" if text is None else f"={text}"
