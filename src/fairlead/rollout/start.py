"""The start of a deployment: which version, with which settings, and what to know beforehand.

Starting writes a revision and a deployment to the ledger; a server carries it out
(server/executor.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict

from fairlead.artifacts import Artifacts
from fairlead.errors import FairleadError
from fairlead.ledger.interface import Ledger
from fairlead.records import Allowance, Bounds, Deployment, Revision, Version
from fairlead.registry.registry import Registry
from fairlead.rollout.compatibility import RevisionSettings, column_changes, settings_changes
from fairlead.rollout.record import author
from fairlead.rollout.traffic_split import main_revision
from fairlead.spec.document import Serve, parse_canonical


def start_deployment(  # noqa: PLR0913 - where, what, and how are three things
    ledger: Ledger,
    artifacts: Artifacts,
    model: str,
    *,
    version: int | None = None,
    steps: tuple[int, ...] | None = None,
    serve: Serve | None = None,
) -> Deployment:
    """Write down that a version is to be deployed; a server of the model carries it out.

    A deployment of the model that still runs is superseded.

    Args:
        ledger: Takes it.
        artifacts: Have the version's files.
        model: Name of the model.
        version: Its number; the champion's if None.
        steps: Percents, rising to 100; those of the settings if None. A model's first revision gets
            100 at once.
        serve: The settings; those of the spec that the version's study ran with if None.

    Raises:
        NotFound: There is no such model or version, or it has no champion.
        Unexportable: The version has no ONNX form.
        Failed: Its exported form predicts something else than what was trained.
        Corrupt: A file of it is not what was written.
        Invalid: The steps do not rise to 100.
    """
    chosen = deployable_version(ledger, artifacts, model, version)
    serve = serve or serve_settings(ledger, chosen)
    revision = ledger.routes.revise(_revision(chosen, serve))
    return ledger.deployments.begin(
        Deployment(
            model=model,
            number=0,  # the ledger gives it
            revision=revision.name,
            steps=_steps(ledger, model, steps or serve.canary),
            bounds=Bounds(**serve.judge.model_dump()),
            sticky=serve.sticky,
            reason=author(),
        )
    )


def deployable_version(
    ledger: Ledger, artifacts: Artifacts, model: str, number: int | None
) -> Version:
    """The version of this number, or the champion, if it can be served.

    Raises:
        FairleadError: As `start_deployment` does.
    """
    registry = Registry(ledger, artifacts)
    version = registry.version(model, number)
    registry.refuse_unfit(version, doing="deploying")
    return version


def serve_settings(ledger: Ledger, version: Version) -> Serve:
    """The serving settings of the spec that the version's study ran with."""
    return parse_canonical(ledger.studies.get(version.study).spec).serve


def deployment_warnings(
    ledger: Ledger, artifacts: Artifacts, version: Version, serve: Serve
) -> list[str]:
    """What a person should know before this version has traffic, a line each.

    That it is not the champion; and what changes for clients of the model, compared with the
    revision that has the most traffic now.

    Args:
        ledger: Knows that one.
        artifacts: Have the files of both.
        version: That is to be deployed.
        serve: The settings that it is deployed with.
    """
    route = ledger.routes.current(version.model)
    revisions = _revisions(ledger, version.model)
    live = main_revision(route, revisions) if route else None
    warnings = _gate_warnings(ledger, version)
    if route is None or live is None:
        return warnings
    return [
        *warnings,
        *_column_warnings(ledger, artifacts, version, live),
        *settings_changes(
            RevisionSettings(allowance=_allowance(serve), sticky=serve.sticky),
            RevisionSettings(allowance=live.allowance, sticky=route.sticky),
            name=_revision_name(revisions, version, serve),
            live_name=live.name,
        ),
    ]


def _gate_warnings(ledger: Ledger, version: Version) -> list[str]:
    champion = ledger.versions.champion(version.model)
    if champion is None or champion.number == version.number:
        return []
    judgement = ledger.versions.last_judgement(version.model, version.number)
    gate = f"; the gate on v{version.number}: {judgement.verdict.text}" if judgement else ""
    return [f"v{version.number} is not the champion, which is v{champion.number}{gate}"]


def _column_warnings(
    ledger: Ledger, artifacts: Artifacts, version: Version, live: Revision
) -> list[str]:
    """None where a file of the live version cannot be read: that blocks no deployment."""
    registry = Registry(ledger, artifacts)
    with suppress(FairleadError):
        now = registry.candidate(ledger.versions.get(version.model, live.version)).signature
        wanted = registry.candidate(version).signature
        names = {"name": f"v{version.number}", "live_name": f"v{live.version}"}
        return column_changes(wanted, now, **names)
    return []


def _revision_name(revisions: Mapping[str, Revision], version: Version, serve: Serve) -> str:
    """The version's revision with these settings, which may not exist yet."""
    own = [each for each in revisions.values() if each.version == version.number]
    known = (each.name for each in own if each.allowance == _allowance(serve))
    new = f"a new revision of v{version.number}" if own else f"v{version.number}"
    return next(known, new)


def is_live(ledger: Ledger, version: Version, serve: Serve) -> bool:
    """Whether the version has all of the traffic already, with these settings."""
    route = ledger.routes.current(version.model)
    if route is None or route.sticky != serve.sticky or len(route.traffic) != 1:
        return False
    (name,) = route.traffic
    live = _revisions(ledger, version.model)[name]
    return (live.version, live.allowance) == (version.number, _allowance(serve))


def _revisions(ledger: Ledger, model: str) -> Mapping[str, Revision]:
    return {each.name: each for each in ledger.routes.revisions(model)}


def _steps(ledger: Ledger, model: str, steps: tuple[int, ...]) -> tuple[int, ...]:
    """One step to 100 where no other revision has traffic that a canary could be compared with."""
    route = ledger.routes.current(model)
    return steps if route is not None and route.traffic else (100,)


def _revision(version: Version, serve: Serve) -> Revision:
    return Revision(
        model=version.model,
        name="",  # the ledger gives it
        version=version.number,
        allowance=_allowance(serve),
    )


def _allowance(serve: Serve) -> Allowance:
    named = serve.model_dump(include=set(asdict(Allowance())))
    return Allowance(**named)
