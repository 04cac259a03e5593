"""What the serving processes are to hold and to route, and whether they do.

Belongs here: rules over records. Does not: sending plans (process_pool.py), proving revisions
(rollout/verification.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fairlead.rollout.traffic_split import out_of_service
from fairlead.rollout.verification import Proved
from fairlead.server.snapshot import Standing
from fairlead.serving.plan import Held, Missing, Plan, Report, Split

_CHECKED = "it is being checked; try again soon"


@dataclass(frozen=True, kw_only=True)
class Aim:
    """The part of a plan that one model has."""

    held: tuple[Held, ...]
    split: Split

    @property
    def whole(self) -> bool:
        """Whether all that has traffic is held."""
        return not self.split.missing

    @property
    def answers(self) -> bool:
        """Whether anything that has traffic is held."""
        return bool(self.split.traffic.keys() - self.split.missing.keys())


def aim(
    standing: Standing,
    proved: Mapping[str, Proved],
    *,
    faults: Mapping[str, str],
    present: Aim | None,
) -> Aim | None:
    """What is to be held and routed of a model; None where that is to stay as it is.

    A revision that has traffic and is not proved is missing. Where something of the model answers
    now, only those may be missing that are so already: nothing gets worse by a route that cannot
    be followed, and what brings another revision in goes on beside one that is gone.

    Args:
        standing: What the ledger says of it.
        proved: Its revisions that were proved, by name.
        faults: Why others of them could not be.
        present: What is held and routed of it now; None where nothing was yet.
    """
    missing = standing.routed - proved.keys()
    if not missing <= _bearable(standing, present):
        return None
    names = sorted(name for name in _held(standing) if name in proved)
    split = _split(standing, missing, faults)
    if not (names or missing or split.out):
        return None
    edges = _edges(standing, proved, names, present)
    return Aim(
        held=tuple(replace(proved[name].held, edges=edges) for name in names),
        split=split,
    )


def _bearable(standing: Standing, present: Aim | None) -> frozenset[str]:
    """Revisions that may be missing."""
    if present is None or not present.answers:
        return standing.routed
    return frozenset(present.split.missing)


def _held(standing: Standing) -> frozenset[str]:
    """The candidate is held from when it is ready, before it has any traffic; what it replaces is
    held until it is settled that nobody goes back there.
    """
    candidate = standing.candidate
    if candidate is None or not candidate.is_unproved or candidate.name in standing.routed:
        return standing.wanted
    return standing.wanted - {candidate.name}


def _edges(
    standing: Standing,
    proved: Mapping[str, Proved],
    names: Sequence[str],
    present: Aim | None,
) -> tuple[float, ...]:
    """The bins that predictions are counted in.

    Counts over other edges could not be compared, so they stay while a deployment lasts, whoever
    is proved meanwhile.
    """
    if standing.deployment is not None and present is not None and present.held:
        return present.held[0].edges
    return proved[ruler(standing, names)].held.edges if names else ()


def ruler(standing: Standing, names: Sequence[str]) -> str:
    """The revision by whose bins all are counted: the main one before the deployment.

    Args:
        standing: Of the model.
        names: Of the revisions that are held.
    """
    shares = standing.before or (standing.route.traffic if standing.route else {})
    known = {name: share for name, share in shares.items() if name in names}
    return max(known, key=lambda name: (known[name], name)) if known else names[0]


def _split(standing: Standing, missing: frozenset[str], faults: Mapping[str, str]) -> Split:
    route = standing.route
    if route is None:
        return Split(model=standing.model, route=0, traffic={})
    return Split(
        model=standing.model,
        route=route.number,
        traffic=route.traffic,
        sticky=route.sticky,
        missing={name: _missing(standing, name, faults) for name in sorted(missing)},
        out=out_of_service(route),
    )


def _missing(standing: Standing, name: str, faults: Mapping[str, str]) -> Missing:
    revision = standing.revisions.get(name)
    why = faults.get(name, _CHECKED)
    return Missing(
        version=revision.version if revision else 0,
        why=f"revision {name!r} of model {standing.model!r} cannot be served: {why}",
    )


def plan(serial: int, aims: Mapping[str, Aim], *, fault: str = "") -> Plan:
    """The whole plan.

    Args:
        serial: Its number.
        aims: By model.
        fault: Why nothing is known of any model, if so.
    """
    parts = [aims[model] for model in sorted(aims)]
    held = tuple(held for part in parts for held in part.held)
    return Plan(
        serial=serial,
        held=held,
        splits=tuple(part.split for part in parts),
        lacking="" if held or _are_out(parts) else _lacking(parts, fault),
    )


def _are_out(parts: Sequence[Aim]) -> bool:
    """Whether nothing is to be served, which those who ask are best told by the process itself."""
    return bool(parts) and all(part.split.out for part in parts)


def _lacking(parts: Sequence[Aim], fault: str) -> str:
    missing = (each.why for part in parts for each in part.split.missing.values())
    return next(missing, fault or "no model is live yet")


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
