"""What the serving processes are to hold and to route, and whether they do.

Belongs here: rules over records. Does not: sending plans (crew.py), proving revisions (proved.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fairlead.deployment.proved import Proved
from fairlead.deployment.view import Standing
from fairlead.serving.plan import Held, Plan, Report, Split

_UNPROVED = {"loading", "failed"}


@dataclass(frozen=True, kw_only=True)
class Aim:
    """The part of a plan that one model has."""

    held: tuple[Held, ...]
    split: Split


def aim(standing: Standing, proved: Mapping[str, Proved]) -> Aim | None:
    """What is to be held and routed of a model; None as long as that cannot be said.

    Args:
        standing: What the ledger says of it.
        proved: Its revisions that were proved, by name.
    """
    if not standing.routed <= proved.keys():
        return None
    names = sorted(name for name in _held(standing) if name in proved)
    if not names:
        return None
    edges = proved[ruler(standing, names)].held.edges
    return Aim(
        held=tuple(replace(proved[name].held, edges=edges) for name in names),
        split=_split(standing),
    )


def _held(standing: Standing) -> frozenset[str]:
    """The candidate is held from when it is ready, before it has any traffic; what it replaces is
    held until it is settled that nobody goes back there.
    """
    candidate = standing.candidate
    if candidate is None or candidate.state not in _UNPROVED or candidate.name in standing.routed:
        return standing.wanted
    return standing.wanted - {candidate.name}


def ruler(standing: Standing, names: Sequence[str]) -> str:
    """The revision by whose bins all are counted: the main one before the deployment.

    Counts over other edges could not be compared, so these stay while a deployment lasts.

    Args:
        standing: Of the model.
        names: Of the revisions that are held.
    """
    shares = standing.before or (standing.route.traffic if standing.route else {})
    known = {name: share for name, share in shares.items() if name in names}
    return max(known, key=lambda name: (known[name], name)) if known else names[0]


def _split(standing: Standing) -> Split:
    route = standing.route
    if route is None:
        return Split(model=standing.model, route=0, traffic={})
    return Split(
        model=standing.model, route=route.number, traffic=route.traffic, sticky=route.sticky
    )


def plan(serial: int, aims: Mapping[str, Aim]) -> Plan:
    """The whole plan."""
    parts = [aims[model] for model in sorted(aims)]
    return Plan(
        serial=serial,
        held=tuple(held for part in parts for held in part.held),
        splits=tuple(part.split for part in parts),
        ready=bool(parts),
    )


def followed(reports: Sequence[Report | None], model: str, *, serial: int) -> bool:
    """Whether every process does what this plan wants of the model.

    Args:
        reports: Of all processes.
        model: Its name.
        serial: Of the first plan that wants it.
    """
    return bool(reports) and all(
        report is not None
        and report.serial >= serial
        and model in report.routes
        and model not in report.behind
        for report in reports
    )


def fault(reports: Iterable[Report | None], model: str) -> str:
    """Why a process does not; empty where none says."""
    faults = (report.faults.get(model, "") for report in reports if report is not None)
    return next(filter(None, faults), "")


def draining(reports: Iterable[Report | None], model: str, revision: str) -> bool:
    """Whether a process still answers requests with this revision."""
    return any((model, revision) in report.draining for report in reports if report is not None)
