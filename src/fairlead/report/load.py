"""Where a report's material comes from.

Belongs here: reading the ledger and the artefact store. Does not: what is made of it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any, Protocol

from fairlead import manifest
from fairlead.ledger.ledger import Ledger
from fairlead.records import Candidate, Digest, Judgement, Study, Version
from fairlead.report.material import Holdout, Material
from fairlead.spec.document import parse_canonical
from fairlead.study.outcome import metric_of


class Artifacts(Protocol):
    """What is needed of the artefact store."""

    def get(self, digest: Digest) -> bytes:
        """The bytes of this digest. Raises Corrupt."""
        ...


def load(study: Study, ledger: Ledger, artifacts: Artifacts) -> Material:
    """Gather what is known of a study, finished or not.

    Args:
        study: As the ledger has it.
        ledger: Its trials, versions and judgements.
        artifacts: The candidate and its files.

    Raises:
        Corrupt: An artefact is not what its digest says.
    """
    version = _version(study, ledger)
    candidate = _candidate(study, version, ledger, artifacts)
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


def _version(study: Study, ledger: Ledger) -> Version | None:
    """The newest version that this study made; a study that was extended made several."""
    made = [version for version in ledger.versions.all(study.name) if version.study == study.id]
    return made[-1] if made else None


def _candidate(
    study: Study, version: Version | None, ledger: Ledger, artifacts: Artifacts
) -> Candidate | None:
    digest = version.manifest if version else None
    if digest is None and study.best is not None:
        digest, _ = ledger.tasks.refit(study.id, study.best)
    return manifest.load(artifacts.get(digest)) if digest else None


def _judgement(version: Version, ledger: Ledger) -> Judgement | None:
    judgements = ledger.versions.judgements(version.model)
    return next((one for one in reversed(judgements) if one.version == version.number), None)


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
