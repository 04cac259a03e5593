"""What the serving processes are to hold and to route, and whether they do.

Belongs here: rules over records. Does not: sending plans (process_pool.py), proving revisions
(rollout/verification.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fairlead.records import Route
from fairlead.rollout.traffic_split import out_of_service_reason
from fairlead.rollout.verification import Verifications, VerifiedRevision, one_line
from fairlead.server.snapshot import ModelSnapshot
from fairlead.serving.plan import Held, Missing, Plan, Report, Split

_CHECKED = "it is being checked; try again soon"


@dataclass(frozen=True, kw_only=True)
class DesiredState:
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


def desired_state(
    standing: ModelSnapshot,
    proved: Mapping[str, VerifiedRevision],
    *,
    faults: Mapping[str, str],
    present: DesiredState | None,
) -> DesiredState | None:
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
    return DesiredState(
        held=tuple(replace(proved[name].held, edges=edges) for name in names),
        split=split,
    )


def _bearable(standing: ModelSnapshot, present: DesiredState | None) -> frozenset[str]:
    """Revisions that may be missing."""
    if present is None or not present.answers:
        return standing.routed
    return frozenset(present.split.missing)


def _held(standing: ModelSnapshot) -> frozenset[str]:
    """The candidate is held from when it is ready, before it has any traffic; what it replaces is
    held until it is settled that nobody goes back there.
    """
    candidate = standing.candidate
    if candidate is None or not candidate.is_unproved or candidate.name in standing.routed:
        return standing.wanted
    return standing.wanted - {candidate.name}


def _edges(
    standing: ModelSnapshot,
    proved: Mapping[str, VerifiedRevision],
    names: Sequence[str],
    present: DesiredState | None,
) -> tuple[float, ...]:
    """The bins that predictions are counted in.

    Counts over other edges could not be compared, so they stay while a deployment lasts, whoever
    is proved meanwhile.
    """
    if standing.deployment is not None and present is not None and present.held:
        return present.held[0].edges
    return proved[reference_revision(standing, names)].held.edges if names else ()


def reference_revision(standing: ModelSnapshot, names: Sequence[str]) -> str:
    """The revision by whose bins all are counted: the main one before the deployment.

    Args:
        standing: Of the model.
        names: Of the revisions that are held.
    """
    shares = standing.before or (standing.route.traffic if standing.route else {})
    known = {name: share for name, share in shares.items() if name in names}
    return max(known, key=lambda name: (known[name], name)) if known else names[0]


def _split(standing: ModelSnapshot, missing: frozenset[str], faults: Mapping[str, str]) -> Split:
    route = standing.route
    if route is None:
        return Split(model=standing.model, route=0, traffic={})
    return Split(
        model=standing.model,
        route=route.number,
        traffic=route.traffic,
        sticky=route.sticky,
        missing={name: _missing(standing, name, faults) for name in sorted(missing)},
        out=out_of_service_reason(route),
    )


def _missing(standing: ModelSnapshot, name: str, faults: Mapping[str, str]) -> Missing:
    revision = standing.revisions.get(name)
    why = faults.get(name, _CHECKED)
    return Missing(
        version=revision.version if revision else 0,
        why=f"revision {name!r} of model {standing.model!r} cannot be served: {why}",
    )


def build_plan(serial: int, aims: Mapping[str, DesiredState], *, fault: str = "") -> Plan:
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


def _are_out(parts: Sequence[DesiredState]) -> bool:
    """Whether nothing is to be served, which those who ask are best told by the process itself."""
    return bool(parts) and all(part.split.out for part in parts)


def _lacking(parts: Sequence[DesiredState], fault: str) -> str:
    missing = (each.why for part in parts for each in part.split.missing.values())
    return next(missing, fault or "no model is live yet")


def is_applied(reports: Sequence[Report | None], model: str, *, serial: int) -> bool:
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


def load_fault(reports: Iterable[Report | None], model: str) -> str:
    """Why a process does not; empty where none says."""
    faults = (report.faults.get(model, "") for report in reports if report is not None)
    return next(filter(None, faults), "")


def is_draining(reports: Iterable[Report | None], model: str, revision: str) -> bool:
    """Whether a process still answers requests with this revision."""
    return any((model, revision) in report.draining for report in reports if report is not None)


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What was told of a model, and in which plan for the first time."""

    aim: DesiredState
    serial: int


class PlanPublisher:
    """Tells the processes what they are to do.

    `follow` is for one thread; `begin` may come from another, while the first one is held up.

    Args:
        proofs: Of revisions.
        tell: Tells a plan to all processes.
    """

    def __init__(self, proofs: Verifications, tell: Callable[[Plan], None]) -> None:
        self._proofs, self._tell = proofs, tell
        self._lock = threading.Lock()
        self._told: Mapping[str, _Told] = {}  # replaced, never changed: others may be reading it
        self._plan: Plan | None = None
        self._standings: Sequence[ModelSnapshot] = ()

    def follow(self, standings: Sequence[ModelSnapshot]) -> None:
        """Tell what has changed; at first, once all is known that can be.

        A process is ready from its first plan on; it should know every model by then.

        Args:
            standings: Of all models.
        """
        with self._lock:
            self._standings = standings
            if self._plan is not None or self._is_gathered():
                self._tell_changes("")

    def begin(self, fault: str) -> None:
        """Tell a first plan now, with what is known, where none was told yet.

        Args:
            fault: Why nothing is known, if so.
        """
        with self._lock:
            if self._plan is None:
                self._tell_changes(fault)

    def is_followed(self, standing: ModelSnapshot, reports: Sequence[Report | None]) -> bool:
        """Whether every process does what this very look at the ledger says."""
        told, wanted = self._told.get(standing.model), self._aim(standing)
        if told is None or wanted != told.aim:
            return False
        held = {each.revision for each in told.aim.held}
        if standing.candidate and standing.candidate.name not in held:
            return False
        return is_applied(reports, standing.model, serial=told.serial)

    def is_live(self, route: Route, reports: Sequence[Report | None]) -> bool:
        """Whether every process follows the route, with all that has traffic there."""
        told = self._told.get(route.model)
        if told is None or told.aim.split.route != route.number or not told.aim.whole:
            return False
        return is_applied(reports, route.model, serial=told.serial)

    def _tell_changes(self, fault: str) -> None:
        before, serial = self._plan, self._plan.serial + 1 if self._plan else 1
        told = {**self._told, **self._changed(serial)}
        parts = {model: each.aim for model, each in told.items()}
        plan = build_plan(serial, parts, fault=fault)
        if before is None or replace(plan, serial=before.serial) != before:
            self._told, self._plan = told, plan
            self._tell(plan)

    def _changed(self, serial: int) -> Mapping[str, _Told]:
        found = ((one.model, self._aim(one)) for one in self._standings)
        return {
            model: _Told(aim=aim, serial=serial)
            for model, aim in found
            if aim is not None and aim != self._present(model)
        }

    def _is_gathered(self) -> bool:
        """Whether all revisions that have traffic were proved, or could not be."""
        aimed = any(self._aim(one) is not None for one in self._standings)
        return aimed and all(map(self._is_known, self._standings))

    def _is_known(self, standing: ModelSnapshot) -> bool:
        model = standing.model
        return standing.routed <= {*self._proofs.verified(model), *self._proofs.failures(model)}

    def _aim(self, standing: ModelSnapshot) -> DesiredState | None:
        model = standing.model
        return desired_state(
            standing,
            self._proofs.verified(model),
            faults={name: one_line(error) for name, error in self._proofs.failures(model).items()},
            present=self._present(model),
        )

    def _present(self, model: str) -> DesiredState | None:
        told = self._told.get(model)
        return told.aim if told else None
