"""What the serving processes are to hold and to route, and whether they do.

`desired_state` says what a model's snapshot and its verified revisions lead to; `build_plan` puts
all models into the plan that a process follows. Both are rules over records. `PlanPublisher` keeps
what was published last, and publishes a plan where something has changed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from fairlead.errors import described
from fairlead.records import Route
from fairlead.rollout.traffic_split import out_of_service_reason
from fairlead.rollout.verification import Verifications, VerifiedRevision
from fairlead.server.snapshot import ModelSnapshot
from fairlead.serving.plan import Confirmed, Held, Missing, Plan, Report, Split

_BEING_CHECKED = "it is being checked; try again soon"


@dataclass(frozen=True, kw_only=True)
class DesiredState:
    """What is to be held and routed of one model: its part of a plan."""

    held: tuple[Held, ...]
    split: Split

    @property
    def is_complete(self) -> bool:
        """Whether all that has traffic is held."""
        return not self.split.missing

    @property
    def answers(self) -> bool:
        """Whether anything that has traffic is held."""
        return bool(self.split.traffic.keys() - self.split.missing.keys())


def desired_state(
    snapshot: ModelSnapshot,
    verified: Mapping[str, VerifiedRevision],
    *,
    faults: Mapping[str, str],
    present: DesiredState | None,
) -> DesiredState | None:
    """What is to be held and routed of a model; None where that stays as it is.

    A revision that has traffic and is not verified is missing. Where something of the model answers
    now, only those may be missing that are so already: nothing gets worse by a route that cannot
    be followed, and a deployment continues beside a revision that is lost.

    Args:
        snapshot: Of the model.
        verified: Its verified revisions, by name.
        faults: Why others of them could not be verified.
        present: What is held and routed of it now; None where nothing was yet.
    """
    missing = snapshot.routed - verified.keys()
    if not missing <= _may_be_missing(snapshot, present):
        return None
    names = sorted(name for name in _to_hold(snapshot) if name in verified)
    split = _split(snapshot, missing, faults)
    if not (names or missing or split.out):
        return None
    edges = _edges(snapshot, verified, names, present)
    return DesiredState(
        held=tuple(replace(verified[name].held, edges=edges) for name in names),
        split=split,
    )


def _may_be_missing(snapshot: ModelSnapshot, present: DesiredState | None) -> frozenset[str]:
    if present is None or not present.answers:
        return snapshot.routed
    return frozenset(present.split.missing)


def _to_hold(snapshot: ModelSnapshot) -> frozenset[str]:
    """The candidate is held from when it is ready, before it has any traffic; what it replaces is
    held until a rollback is out of the question.
    """
    candidate = snapshot.candidate
    if candidate is None or not candidate.is_unverified or candidate.name in snapshot.routed:
        return snapshot.wanted
    return snapshot.wanted - {candidate.name}


def _edges(
    snapshot: ModelSnapshot,
    verified: Mapping[str, VerifiedRevision],
    names: Sequence[str],
    present: DesiredState | None,
) -> tuple[float, ...]:
    """The edges of the bins that predictions are counted in.

    Counts over other edges could not be compared, so they stay while a deployment runs, whatever is
    verified meanwhile.
    """
    if snapshot.deployment is not None and present is not None and present.held:
        return present.held[0].edges
    return verified[reference_revision(snapshot, names)].held.edges if names else ()


def reference_revision(snapshot: ModelSnapshot, names: Sequence[str]) -> str:
    """The revision by whose bins all are counted: the main one before the deployment.

    Args:
        snapshot: Of the model.
        names: Of the revisions that are held.
    """
    shares = snapshot.before or (snapshot.route.traffic if snapshot.route else {})
    known = {name: share for name, share in shares.items() if name in names}
    return max(known, key=lambda name: (known[name], name)) if known else names[0]


def _split(snapshot: ModelSnapshot, missing: frozenset[str], faults: Mapping[str, str]) -> Split:
    route = snapshot.route
    if route is None:
        return Split(model=snapshot.model, route=0, traffic={})
    return Split(
        model=snapshot.model,
        route=route.number,
        traffic=route.traffic,
        sticky=route.sticky,
        missing={name: _missing(snapshot, name, faults) for name in sorted(missing)},
        out=out_of_service_reason(route),
    )


def _missing(snapshot: ModelSnapshot, name: str, faults: Mapping[str, str]) -> Missing:
    revision = snapshot.revisions.get(name)
    why = faults.get(name, _BEING_CHECKED)
    return Missing(
        version=revision.version if revision else 0,
        why=f"revision {name!r} of model {snapshot.model!r} cannot be served: {why}",
    )


def build_plan(
    serial: int,
    states: Mapping[str, DesiredState],
    *,
    confirmed: Mapping[str, Confirmed],
    fault: str = "",
) -> Plan:
    """The whole plan.

    Args:
        serial: Its number.
        states: By model.
        confirmed: What all processes answer already, by model.
        fault: Why nothing is known of any model, if so.
    """
    parts = [states[model] for model in sorted(states)]
    answers = any(one.traffic for one in confirmed.values())
    return Plan(
        serial=serial,
        held=tuple(held for part in parts for held in part.held),
        splits=tuple(part.split for part in parts),
        confirmed=confirmed,
        lacking="" if answers or _are_out(parts) else _lacking(parts, fault),
    )


def still_confirmed(before: Confirmed, state: DesiredState) -> Confirmed:
    """What all processes answer on their way from a state that they had to this one.

    Args:
        before: What was confirmed of the former.
        state: That they are to have; some may have it already.
    """
    names = {held.revision for held in state.held}
    return Confirmed(
        traffic=before.traffic and state.answers,
        revisions=tuple(name for name in before.revisions if name in names),
    )


def confirmed_by_all(state: DesiredState) -> Confirmed:
    """What all processes answer once each has reported this state."""
    return Confirmed(traffic=state.answers, revisions=tuple(held.revision for held in state.held))


def _are_out(parts: Sequence[DesiredState]) -> bool:
    """Whether all models are out of service: the processes answer so, which makes them ready."""
    return bool(parts) and all(part.split.out for part in parts)


def _lacking(parts: Sequence[DesiredState], fault: str) -> str:
    missing = (each.why for part in parts for each in part.split.missing.values())
    beginning = (_beginning(part) for part in parts if part.answers)
    return next(chain(missing, beginning), fault or "no model is live yet")


def _beginning(state: DesiredState) -> str:
    return f"not every serving process answers for model {state.split.model!r} yet"


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
    """Why a process cannot; empty where none says."""
    faults = (report.faults.get(model, "") for report in reports if report is not None)
    return next(filter(None, faults), "")


def is_draining(reports: Iterable[Report | None], model: str, revision: str) -> bool:
    """Whether a process still answers requests with this revision."""
    return any((model, revision) in report.draining for report in reports if report is not None)


@dataclass(frozen=True, kw_only=True)
class _Published:
    """What was published of a model, and in which plan for the first time."""

    state: DesiredState
    serial: int


class PlanPublisher:
    """Publishes plans to the processes.

    `update` is for one thread; `publish_first` may come from another, while the first one is held
    up.

    Args:
        verifications: Of revisions.
        publish: Sends a plan to all processes.
    """

    def __init__(self, verifications: Verifications, publish: Callable[[Plan], None]) -> None:
        self._verifications, self._publish = verifications, publish
        self._lock = threading.Lock()
        self._published: Mapping[str, _Published] = {}  # replaced, never changed: others read it
        self._confirmed: Mapping[str, Confirmed] = {}
        self._plan: Plan | None = None
        self._snapshots: Sequence[ModelSnapshot] = ()

    def update(
        self, snapshots: Sequence[ModelSnapshot], reports: Sequence[Report | None] = ()
    ) -> None:
        """Publish what has changed; the first plan once all is known that can be.

        A process answers requests from its first plan on; it should know every model by then.

        Args:
            snapshots: Of all models.
            reports: Of all processes.
        """
        with self._lock:
            self._snapshots = snapshots
            if self._plan is not None or self._is_all_known():
                self._publish_changes("", reports)

    def publish_first(self, fault: str) -> None:
        """Publish a first plan now, with what is known, where none was published yet.

        Args:
            fault: Why nothing is known, if so.
        """
        with self._lock:
            if self._plan is None:
                self._publish_changes(fault, ())

    def is_applied(self, snapshot: ModelSnapshot, reports: Sequence[Report | None]) -> bool:
        """Whether every process does what this very snapshot of the ledger says."""
        published, wanted = self._published.get(snapshot.model), self._desired(snapshot)
        if published is None or wanted != published.state:
            return False
        held = {each.revision for each in published.state.held}
        if snapshot.candidate and snapshot.candidate.name not in held:
            return False
        return is_applied(reports, snapshot.model, serial=published.serial)

    def is_followed(self, route: Route, reports: Sequence[Report | None]) -> bool:
        """Whether every process follows the route, with all that has traffic there."""
        published = self._published.get(route.model)
        if published is None or published.state.split.route != route.number:
            return False
        complete = published.state.is_complete
        return complete and is_applied(reports, route.model, serial=published.serial)

    def edges(self, model: str) -> tuple[float, ...]:
        """Between the bins that predictions of the model are counted in."""
        published = self._published.get(model)
        return published.state.held[0].edges if published and published.state.held else ()

    def _publish_changes(self, fault: str, reports: Sequence[Report | None]) -> None:
        before, serial = self._plan, self._plan.serial + 1 if self._plan else 1
        published = {**self._published, **self._changed(serial)}
        states = {model: each.state for model, each in published.items()}
        self._confirmed = dict(self._now_confirmed(published, reports))
        plan = build_plan(serial, states, confirmed=self._confirmed, fault=fault)
        if before is None or replace(plan, serial=before.serial) != before:
            self._published, self._plan = published, plan
            self._publish(plan)

    def _now_confirmed(
        self, published: Mapping[str, _Published], reports: Sequence[Report | None]
    ) -> Iterator[tuple[str, Confirmed]]:
        """What every process answers, by model; a process that is replaced takes nothing back,
        since the requests that it is to answer wait until it does.
        """
        for model, each in published.items():
            if is_applied(reports, model, serial=each.serial):
                yield model, confirmed_by_all(each.state)
            elif model in self._confirmed:
                yield model, still_confirmed(self._confirmed[model], each.state)

    def _changed(self, serial: int) -> Mapping[str, _Published]:
        found = ((one.model, self._desired(one)) for one in self._snapshots)
        return {
            model: _Published(state=state, serial=serial)
            for model, state in found
            if state is not None and state != self._present(model)
        }

    def _is_all_known(self) -> bool:
        """Whether all revisions that have traffic were verified, or could not be."""
        anything = any(self._desired(one) is not None for one in self._snapshots)
        return anything and all(map(self._is_known, self._snapshots))

    def _is_known(self, snapshot: ModelSnapshot) -> bool:
        model, verifications = snapshot.model, self._verifications
        return snapshot.routed <= {*verifications.verified(model), *verifications.failures(model)}

    def _desired(self, snapshot: ModelSnapshot) -> DesiredState | None:
        failures = self._verifications.failures(snapshot.model)
        return desired_state(
            snapshot,
            self._verifications.verified(snapshot.model),
            faults={name: described(error) for name, error in failures.items()},
            present=self._present(snapshot.model),
        )

    def _present(self, model: str) -> DesiredState | None:
        published = self._published.get(model)
        return published.state if published else None
