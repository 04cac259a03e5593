"""The start of a deployment: which version, with which settings, and what to know beforehand.

Starting writes a revision and a deployment to the ledger; a server carries it out
(server/executor.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

from fairlead.errors import FairleadError
from fairlead.ledger.interface import Ledger
from fairlead.records import Allowance, Bounds, Column, Deployment, Revision, Signature, Version
from fairlead.registry.registry import Registry
from fairlead.rollout.record import author
from fairlead.rollout.traffic_split import main_revision
from fairlead.spec.document import Serve, parse_canonical
from fairlead.stores import Stores


def start_deployment(  # noqa: PLR0913 - what, how, and who asks
    stores: Stores,
    model: str,
    *,
    version: int | None = None,
    steps: tuple[int, ...] | None = None,
    serve: Serve | None = None,
    by: str = "",
) -> Deployment:
    """Write down that a version is to be deployed; a server of the model carries it out.

    A deployment of the model that still runs is superseded.

    Args:
        stores: Of the deployment, and of the version's files.
        model: Name of the model.
        version: Its number; the champion's if None.
        steps: Percents, rising to 100; those of the settings if None. A model's first revision gets
            100 at once.
        serve: The settings; those of the spec that the version's study ran with if None.
        by: Who asks; the user of this process if empty.

    Raises:
        NotFound: There is no such model or version, or it has no champion.
        Unexportable: The version has no ONNX form.
        Failed: Its exported form predicts something else than what was trained.
        Corrupt: A file of it is not what was written.
        Invalid: The steps do not rise to 100.
    """
    chosen = deployable_version(stores, model, version)
    serve = serve or serve_settings(stores.ledger, chosen)
    revision = stores.ledger.routes.revise(revision_of(chosen, serve))
    return stores.ledger.deployments.begin(
        Deployment(
            model=model,
            number=0,  # the ledger gives it
            revision=revision.name,
            steps=_steps(stores.ledger, model, steps or serve.canary),
            bounds=Bounds(**serve.judge.model_dump()),
            sticky=serve.sticky,
            reason=by or author(),
        )
    )


def deployable_version(stores: Stores, model: str, number: int | None) -> Version:
    """The version of this number, or the champion, if it can be served.

    Raises:
        FairleadError: As `start_deployment` does.
    """
    registry = Registry(stores.ledger, stores.artifacts)
    version = registry.version(model, number)
    registry.refuse_unfit(version, doing="deploying")
    return version


def serve_settings(ledger: Ledger, version: Version) -> Serve:
    """The serving settings of the spec that the version's study ran with."""
    return parse_canonical(ledger.studies.get(version.study).spec).serve


def deployment_warnings(stores: Stores, version: Version, serve: Serve) -> list[str]:
    """What a person should know before this version has traffic, a line each.

    That it is not the champion; and what changes for clients of the model, compared with the
    revision that has the most traffic now.

    Args:
        stores: Of that one, and of the files of both.
        version: That is to be deployed.
        serve: The settings that it is deployed with.
    """
    route = stores.ledger.routes.current(version.model)
    revisions = _revisions(stores.ledger, version.model)
    live = main_revision(route, revisions) if route else None
    warnings = _gate_warnings(stores.ledger, version)
    if route is None or live is None:
        return warnings
    return [
        *warnings,
        *_column_warnings(stores, version, live),
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


def _column_warnings(stores: Stores, version: Version, live: Revision) -> list[str]:
    """None where a file of the live version cannot be read: that blocks no deployment."""
    registry = Registry(stores.ledger, stores.artifacts)
    with suppress(FairleadError):
        now = registry.candidate(stores.ledger.versions.get(version.model, live.version)).signature
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
    return _is_of(_revisions(ledger, version.model)[name], version, serve)


def deploys(ledger: Ledger, deployment: Deployment, version: Version, serve: Serve) -> bool:
    """Whether it is the version that the deployment brings into service, with these settings."""
    revision = _revisions(ledger, version.model)[deployment.revision]
    return deployment.sticky == serve.sticky and _is_of(revision, version, serve)


def _is_of(revision: Revision, version: Version, serve: Serve) -> bool:
    return (revision.version, revision.allowance) == (version.number, _allowance(serve))


def _revisions(ledger: Ledger, model: str) -> Mapping[str, Revision]:
    return {each.name: each for each in ledger.routes.revisions(model)}


def _steps(ledger: Ledger, model: str, steps: tuple[int, ...]) -> tuple[int, ...]:
    """One step to 100 where no other revision has traffic that a canary could be compared with."""
    route = ledger.routes.current(model)
    return steps if route is not None and route.traffic else (100,)


def revision_of(version: Version, serve: Serve, *, name: str = "") -> Revision:
    """A version with its serving settings; the ledger gives it a name if it has none."""
    return Revision(
        model=version.model,
        name=name,
        version=version.number,
        allowance=_allowance(serve),
    )


def _allowance(serve: Serve) -> Allowance:
    named = serve.model_dump(include=set(asdict(Allowance())))
    return Allowance(**named)


# ---- compatibility ----------------------------------------------------------------------------
#
# What changes for clients and operators where another revision takes a model's traffic, in words.
#
# Compared are the columns that requests must have, and the settings of the section `serve` that are
# in force as long as a revision is. How a deployment goes (canary, judge) is over when it ends, and
# is not compared.


def column_changes(wanted: Signature, live: Signature, *, name: str, live_name: str) -> list[str]:
    """A line for each way in which requests that are right today would be wrong.

    Args:
        wanted: Signature of the version that is to be deployed.
        live: Signature of the live one.
        name: Of the former, such as v4.
        live_name: Of the latter.
    """
    return [
        *_name_changes(wanted, live, name, live_name),
        *_kind_changes(wanted, live, name, live_name),
    ]


def _name_changes(wanted: Signature, live: Signature, name: str, live_name: str) -> Iterator[str]:
    needed = [column.name for column in wanted.columns]
    sent = [column.name for column in live.columns]
    if added := [column for column in needed if column not in sent]:
        yield (
            f"{name} takes {_columns(added)}, which {live_name} does not: requests without "
            f"{_them(added)} will be answered 400"
        )
    if removed := [column for column in sent if column not in needed]:
        yield (
            f"{name} does not take {_columns(removed)}, which {live_name} does: requests with "
            f"{_them(removed)} will be answered 400"
        )


def _kind_changes(wanted: Signature, live: Signature, name: str, live_name: str) -> Iterator[str]:
    sent = {column.name: _taken_as(column) for column in live.columns}
    for column in wanted.columns:
        now = _taken_as(column)
        before = sent.get(column.name, now)
        if before != now:
            yield (
                f"{name} takes column {column.name!r} as {now}, {live_name} as {before}: requests "
                f"that send {before} may be answered 400"
            )


def _taken_as(column: Column) -> str:
    """What a request has to hold; numbers and truth values are taken where text is wanted."""
    if column.kind == "number":
        return "a truth value" if column.type == "boolean" else "a number"
    return {"text": "text", "date": "a date"}[column.kind]


def _columns(names: Sequence[str]) -> str:
    listed = ", ".join(map(repr, names))
    return f"column {listed}" if len(names) == 1 else f"columns {listed}"


def _them(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"


@dataclass(frozen=True, kw_only=True)
class RevisionSettings:
    """The settings that are in force as long as a revision is.

    Args:
        allowance: What it may use of a process.
        sticky: What a client is identified by; None where clients do not stay with a revision.
    """

    allowance: Allowance
    sticky: str | None


def settings_changes(
    wanted: RevisionSettings, live: RevisionSettings, *, name: str, live_name: str
) -> list[str]:
    """A line that names each setting that would change; none where all stay.

    Args:
        wanted: Of the revision that is to be deployed.
        live: Of the live one.
        name: Of the former, such as v1.
        live_name: Of the latter, such as v1-2.
    """
    changed = ", ".join(_changed(wanted, live))
    return [f"settings of `serve` change, {live_name} -> {name}: {changed}"] if changed else []


def _changed(wanted: RevisionSettings, live: RevisionSettings) -> Iterator[str]:
    before, after = _by_name(live), _by_name(wanted)
    for name, value in after.items():
        if value != before[name]:
            yield f"{name} {_shown(before[name])} -> {_shown(value)}"


def _by_name(settings: RevisionSettings) -> dict[str, object]:
    return {**asdict(settings.allowance), "sticky": settings.sticky}


def _shown(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
