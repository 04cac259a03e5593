"""deploy_details.json: what is live since a change of a route, where it comes from, and who did it.

It is stored before the route that names it, and the ledger takes that route only if the one that
it follows is still in force: what it says of the moment of the change is true.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import socket
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fairlead import manifest
from fairlead.artifacts import Artifacts
from fairlead.errors import FairleadError
from fairlead.ledger.interface import Ledger
from fairlead.records import Candidate, Deployment, Revision, Route, Study, Version
from fairlead.repository import checked_out
from fairlead.rollout.traffic_split import main_revision
from fairlead.stores import Stores
from fairlead.version import VERSION


def deploy_details(
    stores: Stores,
    route: Route,
    *,
    previous: Route | None,
    deployment: Deployment | None = None,
) -> bytes:
    """The document of a route that is about to be appended.

    What cannot be read, such as a damaged file of an old version, is null: that blocks no undo. So
    is all that belongs to a revision, where none has traffic.

    Args:
        stores: Of the revisions, their versions, and what these are made of.
        route: The new one; its number and time are given here as the ledger will.
        previous: The one in force.
        deployment: That the route is a step of, or undoes, as it will be written.
    """
    revisions = {each.name: each for each in stores.ledger.routes.revisions(route.model)}
    revision = _subject(route, deployment, revisions)
    document = {
        "model": route.model,
        "version": revision.version if revision else None,
        "revision": revision.name if revision else None,
        **_origin_and_gate(stores, revision),
        "route": (previous.number if previous else 0) + 1,
        "kind": route.kind,
        "why": route.why,
        "traffic": _traffic(route, revisions),
        "sticky": route.sticky,
        "settings": asdict(revision.allowance) if revision else None,
        "previous": _previous(previous, revisions),
        "deployment": _deployment(stores.ledger, deployment),
        "at": stores.ledger.now(),
        "by": author(),
        "fairlead": VERSION,
    }
    return json.dumps(document, indent=1, allow_nan=False).encode()


def author() -> str:
    """Who asks, as user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # in a container, a user may have no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _subject(
    route: Route, deployment: Deployment | None, revisions: Mapping[str, Revision]
) -> Revision | None:
    """The revision described: the deployment's, else the one with most traffic."""
    if deployment is not None and deployment.revision in route.traffic:
        return revisions[deployment.revision]
    return main_revision(route, revisions)


_ORIGIN_AND_GATE = (
    "metrics",
    "family",
    "params",
    "study",
    "trial",
    "registered",
    "digests",
    "git",
    "gate",
)


def _origin_and_gate(stores: Stores, revision: Revision | None) -> dict[str, Any]:
    """Where the revision's version comes from, and the gate's verdict on it."""
    if revision is None:
        return dict.fromkeys(_ORIGIN_AND_GATE)
    version = stores.ledger.versions.get(revision.model, revision.version)
    return {**_origin(stores, version), "gate": _gate(stores.ledger, version)}


def _origin(stores: Stores, version: Version) -> dict[str, Any]:
    study = stores.ledger.studies.get(version.study)
    candidate = _candidate(stores.artifacts, version)
    environment = _environment(stores.artifacts, candidate)
    return {
        "metrics": _metrics(candidate),
        "family": candidate.family if candidate else None,
        "params": dict(candidate.params) if candidate else None,
        "study": study.id,
        "trial": version.trial,
        "registered": version.created,
        "digests": _digests(study, version, candidate, environment),
        "git": _git(environment),
    }


def _candidate(artifacts: Artifacts, version: Version) -> Candidate | None:
    try:
        return manifest.load(artifacts.get(version.manifest))
    except FairleadError:
        return None


def _environment(artifacts: Artifacts, candidate: Candidate | None) -> dict[str, Any]:
    """What the candidate's file environment.json says."""
    file = candidate.files.get("environment.json") if candidate else None
    try:
        return dict(json.loads(artifacts.get(file.digest))) if file else {}
    except FairleadError:
        return {}


def _metrics(candidate: Candidate | None) -> dict[str, Any] | None:
    if candidate is None:
        return None
    return {
        "metric": candidate.metric,
        "holdout": candidate.holdout_score,
        "holdout_rows": candidate.holdout_rows,
        "training_rows": candidate.training_rows,
    }


def _digests(
    study: Study, version: Version, candidate: Candidate | None, environment: Mapping[str, Any]
) -> dict[str, str | None]:
    model = candidate.files.get("model.onnx") if candidate else None
    return {
        "spec": hashlib.sha256(study.spec.encode()).hexdigest(),
        "data": environment.get("digests", {}).get("fingerprint"),
        "table": study.table,
        "manifest": version.manifest,
        "model": model.digest if model else None,
    }


def _git(environment: Mapping[str, Any]) -> dict[str, Any] | None:
    """The commit that the model was trained from, else the one that is checked out here."""
    if "git" in environment:
        trained = environment["git"]
        return {**trained, "of": "training"} if trained else None
    here = checked_out(Path.cwd())
    return {**asdict(here), "of": "deployment"} if here else None


def _gate(ledger: Ledger, version: Version) -> dict[str, Any] | None:
    """The last verdict on the version; None where it was never judged."""
    last = ledger.versions.last_judgement(version.model, version.number)
    return {**asdict(last.verdict), "at": last.at} if last else None


def _traffic(route: Route, revisions: Mapping[str, Revision]) -> list[dict[str, Any]]:
    return [
        {"revision": name, "version": revisions[name].version, "percent": percent}
        for name, percent in sorted(route.traffic.items())
    ]


def _previous(route: Route | None, revisions: Mapping[str, Revision]) -> dict[str, Any] | None:
    if route is None:
        return None
    most = main_revision(route, revisions)
    return {
        "route": route.number,
        "revision": most.name if most else None,
        "traffic": _traffic(route, revisions),
        "at": route.at,
    }


def _deployment(ledger: Ledger, deployment: Deployment | None) -> dict[str, Any] | None:
    if deployment is None:
        return None
    return {
        "number": deployment.number,
        "revision": deployment.revision,
        "steps": list(deployment.steps),
        "step": deployment.step,
        "state": deployment.state,
        "asked_by": ledger.deployments.author(deployment.model, deployment.number),
    }
