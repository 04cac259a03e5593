"""What a report is made from, read from the ledger and the artefact store."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from fairlead import manifest
from fairlead.artifacts import Artifacts
from fairlead.ledger.interface import KEPT_FIT_REPORTS, Ledger
from fairlead.metrics import Metric
from fairlead.records import Candidate, FitReport, Judgement, Study, TrialRow, Version
from fairlead.registry.registry import Registry
from fairlead.spec.document import Spec, parse_canonical
from fairlead.stores import Stores
from fairlead.study.outcome import metric_of

MOST_FITS = 8
"""Trials whose fits are shown."""
_MOST_REPORTS = 10 * KEPT_FIT_REPORTS
"""Reports of a trial: of its task, and of those that it had before it shared one, or refit it."""


@dataclass(frozen=True, kw_only=True)
class HoldoutPredictions:
    """What the refitted model predicts for the rows kept from the search.

    Args:
        true: [rows]: the target, or indexes of classes.
        predicted: [rows] values, or [rows][classes] probabilities.
    """

    true: Sequence[float]
    predicted: Sequence[Any]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A trial with a score."""

    row: TrialRow
    score: float

    @property
    def number(self) -> int:
        """The trial's number."""
        return self.row.trial.number


@dataclass(frozen=True, kw_only=True)
class Material:
    """All that a report says, before it is put into words and pictures.

    Args:
        study: The study.
        spec: What it searches.
        metric: What its trials are scored with.
        rows: Its trials by number.
        candidate: Its best trial refitted, if it came to that.
        not_refitted: Why refitting it failed, where it did.
        holdout: The candidate's predictions, where there are any.
        version: The candidate in the registry.
        champion: Number of the version that is champion now.
        judgement: The last one of this version.
        environment: The candidate's environment.json.
        fits: What was told of the fits of its best trials, the best first, or of those that go on;
            empty for fits that are not made in steps.
    """

    study: Study
    spec: Spec
    metric: Metric
    rows: Sequence[TrialRow]
    candidate: Candidate | None = None
    not_refitted: str | None = None
    holdout: HoldoutPredictions | None = None
    version: Version | None = None
    champion: int | None = None
    judgement: Judgement | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    fits: Mapping[int, Sequence[FitReport]] = field(default_factory=dict)

    @cached_property
    def scored(self) -> tuple[Scored, ...]:
        """The trials with a finite score, by number."""
        return tuple(
            Scored(row=row, score=row.result.score)
            for row in self.rows
            if row.result and row.result.score is not None and math.isfinite(row.result.score)
        )

    @cached_property
    def ranked(self) -> tuple[Scored, ...]:
        """The same, the best first, and the earlier of equals."""
        sign = -1 if self.metric.greater_is_better else 1
        return tuple(sorted(self.scored, key=lambda scored: (sign * scored.score, scored.number)))

    @cached_property
    def families(self) -> tuple[str, ...]:
        """The families that trials were made of, in the spec's order."""
        used = {row.trial.family for row in self.rows}
        named = dict.fromkeys(space.family for space in self.spec.search.over)
        return tuple(family for family in named if family in used)

    def ended(self, state: str) -> tuple[TrialRow, ...]:
        """The trials in this state."""
        return tuple(row for row in self.rows if row.state == state)


def load(study: Study, stores: Stores) -> Material:
    """Gather what is known of a study, finished or not.

    Args:
        study: As the ledger has it.
        stores: Of its trials, versions and judgements, and of the candidate and its files.

    Raises:
        Corrupt: An artefact is not what its digest says.
    """
    registry = Registry(ledger=stores.ledger, artifacts=stores.artifacts)
    refitted = _refitted(study, registry)
    version = _version(study, refitted, registry)
    registered = version is not None and version.study == study.id  # and has more files for it
    candidate = registry.candidate(version) if version and registered else refitted
    champion = stores.ledger.versions.champion(version.model) if version else None
    material = Material(
        study=study,
        spec=parse_canonical(study.spec),
        metric=metric_of(study),
        rows=tuple(stores.ledger.studies.trials(study.id)),
        candidate=candidate,
        not_refitted=_not_refitted(study, stores.ledger),
        holdout=_holdout(candidate, stores.artifacts) if candidate else None,
        version=version,
        champion=champion.number if champion else None,
        judgement=_judgement(version, stores.ledger) if version else None,
        environment=_environment(candidate, stores.artifacts) if candidate else {},
    )
    return replace(material, fits=_fits(material, stores.ledger))


def _fits(material: Material, ledger: Ledger) -> Mapping[int, Sequence[FitReport]]:
    """Trials that share a fit are told of as the first of them, and shown as the best of them."""
    study = material.study.id
    if not ledger.fits.reports(study, limit=1):
        return {}
    running = [report.progress.trial for report in ledger.fits.running(study)]
    subjects = ledger.tasks.subjects(study)
    found: dict[int, Sequence[FitReport]] = {}
    shown: set[int] = set()  # tasks
    for trial in dict.fromkeys([*(one.number for one in material.ranked), *running]):
        tasks = {task for task, subject in subjects.items() if trial in subject.trials}
        if len(found) == MOST_FITS:
            break
        if tasks & shown:
            continue
        leaders = {trial, *(subjects[task].trials[0] for task in tasks)}
        reports = [
            report
            for leader in leaders
            for report in ledger.fits.reports(study, trial=leader, limit=_MOST_REPORTS)
            if report.task in tasks
        ]
        if reports:
            found[trial] = sorted(reports, key=lambda report: report.id)
            shown |= tasks
    return found


def _refitted(study: Study, registry: Registry) -> Candidate | None:
    """The study's best trial refitted, if it came to that."""
    if study.best is None:
        return None
    digest, _ = registry.ledger.tasks.refit(study.id, study.best)
    return manifest.load(registry.artifacts.get(digest)) if digest else None


def _not_refitted(study: Study, ledger: Ledger) -> str | None:
    return None if study.best is None else ledger.tasks.refit(study.id, study.best)[1]


def _version(study: Study, refitted: Candidate | None, registry: Registry) -> Version | None:
    """The version that the study came to, whichever study found the same model first.

    Of a study that goes on, it is the newest of those that it made before.
    """
    known = registry.known(refitted, model=study.name) if refitted else None
    made = registry.ledger.versions.all(study.name)
    return known or next((one for one in reversed(made) if one.study == study.id), None)


def _judgement(version: Version, ledger: Ledger) -> Judgement | None:
    return ledger.versions.last_judgement(version.model, version.number)


def _holdout(candidate: Candidate, artifacts: Artifacts) -> HoldoutPredictions | None:
    import numpy as np

    file = candidate.files.get("holdout.npz")
    if file is None:
        return None
    with np.load(io.BytesIO(artifacts.get(file.digest)), allow_pickle=False) as arrays:
        return HoldoutPredictions(
            true=arrays["true"].tolist(), predicted=arrays["predicted"].tolist()
        )


def _environment(candidate: Candidate, artifacts: Artifacts) -> Mapping[str, Any]:
    file = candidate.files.get("environment.json")
    environment: Mapping[str, Any] = json.loads(artifacts.get(file.digest)) if file else {}
    return environment
