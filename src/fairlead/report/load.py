"""Where a report's material comes from.

Belongs here: reading the ledger and the artefact store. Does not: what is made of it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

from fairlead import manifest
from fairlead.artifacts import Artifacts
from fairlead.ledger.interface import Ledger
from fairlead.records import Candidate, Judgement, Study, Version
from fairlead.registry.champion_history import last_judgement
from fairlead.registry.registry import Registry
from fairlead.report.material import Holdout, Material
from fairlead.spec.document import parse_canonical
from fairlead.study.outcome import metric_of


def load(study: Study, ledger: Ledger, artifacts: Artifacts) -> Material:
    """Gather what is known of a study, finished or not.

    Args:
        study: As the ledger has it.
        ledger: Its trials, versions and judgements.
        artifacts: The candidate and its files.

    Raises:
        Corrupt: An artefact is not what its digest says.
    """
    registry = Registry(ledger=ledger, artifacts=artifacts)
    refitted = _refitted(study, registry)
    version = _version(study, refitted, registry)
    registered = version is not None and version.study == study.id  # and has more files for it
    candidate = registry.candidate(version) if version and registered else refitted
    champion = ledger.versions.champion(version.model) if version else None
    return Material(
        study=study,
        spec=parse_canonical(study.spec),
        metric=metric_of(study),
        rows=tuple(ledger.studies.trials(study.id)),
        candidate=candidate,
        holdout=_holdout(candidate, artifacts) if candidate else None,
        version=version,
        champion=champion.number if champion else None,
        judgement=_judgement(version, ledger) if version else None,
        environment=_environment(candidate, artifacts) if candidate else {},
    )


def _refitted(study: Study, registry: Registry) -> Candidate | None:
    """The study's best trial refitted, if it came to that."""
    if study.best is None:
        return None
    digest, _ = registry.ledger.tasks.refit(study.id, study.best)
    return manifest.load(registry.artifacts.get(digest)) if digest else None


def _version(study: Study, refitted: Candidate | None, registry: Registry) -> Version | None:
    """The version that the study came to, whichever study found the same model first.

    Of a study that goes on, it is the newest of those that it made before.
    """
    known = registry.known(refitted, model=study.name) if refitted else None
    made = registry.ledger.versions.all(study.name)
    return known or next((one for one in reversed(made) if one.study == study.id), None)


def _judgement(version: Version, ledger: Ledger) -> Judgement | None:
    return last_judgement(ledger.versions.judgements(version.model), version.number)


def _holdout(candidate: Candidate, artifacts: Artifacts) -> Holdout | None:
    import numpy as np

    file = candidate.files.get("holdout.npz")
    if file is None:
        return None
    with np.load(io.BytesIO(artifacts.get(file.digest)), allow_pickle=False) as arrays:
        return Holdout(true=arrays["true"].tolist(), predicted=arrays["predicted"].tolist())


def _environment(candidate: Candidate, artifacts: Artifacts) -> Mapping[str, Any]:
    file = candidate.files.get("environment.json")
    environment: Mapping[str, Any] = json.loads(artifacts.get(file.digest)) if file else {}
    return environment
