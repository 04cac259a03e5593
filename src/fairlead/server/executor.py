"""The executor: it does what decide.py says comes next in a deployment, and finds out what that
depends on.

Whatever must survive this program is in the ledger before anything follows from it. So a server
that takes over does what this one would have done, and may test again what was tested.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from fairlead.errors import Conflict, Unreachable, described
from fairlead.records import (
    Deployment,
    DeploymentState,
    Revision,
    RevisionState,
    Route,
    Server,
    StepObservation,
)
from fairlead.rollout.background import BackgroundCalls, CallOutcome
from fairlead.rollout.routes import put_in_force, undo
from fairlead.rollout.smoke_test import Endpoint, SmokeTestResult, smoke_test
from fairlead.rollout.traffic_split import with_share
from fairlead.rollout.undo import is_superseded_step
from fairlead.rollout.verification import Verifications, is_retryable
from fairlead.rollout.wait import servers_late, servers_of
from fairlead.server.canary import CanaryVerdict, duration, judge, total
from fairlead.server.decide import (
    Action,
    Complete,
    FailDeployment,
    KeepWaiting,
    Progress,
    RollBack,
    ShiftTraffic,
    SmokeTest,
    VerifyRevision,
    next_action,
)
from fairlead.server.events import DeploymentChanged, ServerEvent, ServerNotice
from fairlead.server.snapshot import ModelSnapshot
from fairlead.server.step_observer import StepObserver
from fairlead.serving.proof import Golden
from fairlead.stores import Stores

_PATIENCE = 10.0
"""Seconds for which a fault may last before it counts: a process that is replaced, a file that
cannot be read just now."""
_REASON_PERIOD = 1.0
"""Seconds between two reasons that are written to the ledger while the same step waits."""
_MAX_PARALLEL = 4  # deployments that are tested at the same time
_MAX_CRASHES = 3
"""So many crashes of processes since a step began are the fault of the new revision."""
_BEING_VERIFIED = "it is being verified in a process of its own"


@dataclass(frozen=True, kw_only=True)
class ProcessStatus:
    """How far the serving processes are with a model.

    Args:
        followed: Whether all of them do what the ledger says.
        fault: Why one of them cannot.
        crashes: How many of them have crashed since the server began.
        edges: Between the bins that they count predictions in.
    """

    followed: bool
    fault: str
    crashes: int
    edges: tuple[float, ...]


@dataclass(kw_only=True)
class _StepState:
    """What is known of the present step of a deployment. Filled in as it goes."""

    number: tuple[int, int]  # of the deployment, and of its step
    crashes: int  # before it
    tested: bool | None = None
    difference: str = ""
    passed: float | None = None  # when the smoke test of the route had passed
    tries: int = 0  # of the smoke test
    unreached: float | None = None  # since when no process answers
    faulty: float | None = None  # since when a process cannot follow
    reason_at: float = float("-inf")  # when a reason was written last


@dataclass(frozen=True, kw_only=True)
class _Work:
    """A deployment at its present step."""

    snapshot: ModelSnapshot
    deployment: Deployment
    revision: Revision
    step: _StepState

    @property
    def others(self) -> frozenset[str]:
        """The revisions that it shares the traffic with."""
        return frozenset(self.snapshot.before) - {self.deployment.revision}


class Executor:
    """Carries out the deployments of one server.

    Args:
        stores: Where they are, and the details of routes go.
        verifications: Of their revisions.
        endpoint: The server's own, for smoke tests.
        observer: Of the steps.
        on_finished: Called when a smoke test has ended.
        on_event: Called with how deployments go on.
        clock: Seconds, monotonic.
    """

    def __init__(  # noqa: PLR0913 - each is another thing that a deployment touches
        self,
        stores: Stores,
        *,
        verifications: Verifications,
        endpoint: Endpoint,
        observer: StepObserver,
        on_finished: Callable[[], None],
        on_event: Callable[[ServerEvent], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stores = stores
        self._verifications, self._endpoint, self._observer = verifications, endpoint, observer
        self._on_event, self._clock = on_event, clock
        self._tests: BackgroundCalls[SmokeTestResult] = BackgroundCalls(
            max_parallel=_MAX_PARALLEL, on_finished=on_finished
        )
        self._steps: dict[str, _StepState] = {}

    def advance(self, snapshot: ModelSnapshot, status: ProcessStatus) -> bool:
        """Do what comes next; whether the ledger has changed by it.

        Args:
            snapshot: Of a model with a deployment that this server holds.
            status: How far the processes are with it.
        """
        deployment, revision = snapshot.deployment, snapshot.candidate
        if deployment is None or revision is None:
            return False
        step = self._step(deployment, status)
        work = _Work(snapshot=snapshot, deployment=deployment, revision=revision, step=step)
        try:
            return self._do(next_action(deployment, revision, self._progress(work, status)), work)
        except Conflict as error:
            self._on_event(ServerNotice(text=described(error), next_steps=error.next_steps))
            return True

    # ---- what is known ----------------------------------------------------------------------

    def _step(self, deployment: Deployment, status: ProcessStatus) -> _StepState:
        number = (deployment.number, deployment.step)
        known = self._steps.get(deployment.model)
        if known is None or known.number != number:
            known = _StepState(number=number, crashes=status.crashes)
            self._steps[deployment.model] = known
        return known

    def _progress(self, work: _Work, status: ProcessStatus) -> Progress:
        servers, others = self._other_servers(work), self._others_observed(work)
        own = self._observed(work, status)
        return Progress(
            followed=status.followed,
            late=_late(work.snapshot.route, servers),
            alone=not work.others,
            fault=self._fault(work.step, status, elsewhere=sum(one.crashes for one in others)),
            tested=work.step.tested,
            difference=work.step.difference,
            verdict=None if own is None else _verdict(work, [own, *others], servers),
        )

    def _other_servers(self, work: _Work) -> Sequence[Server]:
        """Those that are alive and share the traffic of the step.

        One that has begun to start shares none, and takes the route in force when it does: nobody
        waits for it, or replicas that are added one after another would hold the step up.
        """
        model = work.deployment.model
        if work.deployment.step < 0:
            return []
        alive = servers_of(self._stores.ledger, model)
        return [one for one in alive if one.id != work.deployment.server and model in one.routes]

    def _others_observed(self, work: _Work) -> Sequence[StepObservation]:
        """What other servers have observed, those that have ended since included."""
        if not work.snapshot.is_at_step:
            return []
        known = self._stores.ledger.deployments.observations(work.deployment)
        return [one for one in known if one.server != work.deployment.server]

    def _observed(self, work: _Work, status: ProcessStatus) -> StepObservation | None:
        """What this server has observed; None while it cannot be told from its smoke tests."""
        if work.step.passed is None or not work.snapshot.is_at_step:
            return None
        return self._observer.observe(
            work.snapshot, after=work.step.passed, edges=status.edges, crashes=status.crashes
        )

    def _fault(self, step: _StepState, status: ProcessStatus, *, elsewhere: int) -> str:
        """What has failed for so long, or so often, that it is no accident."""
        crashes = status.crashes - step.crashes + elsewhere
        if crashes >= _MAX_CRASHES:
            return f"serving processes crashed {crashes} times since the step began"
        if not status.fault:
            step.faulty = None
            return ""
        step.faulty = step.faulty or self._clock()
        return status.fault if self._clock() - step.faulty > _PATIENCE else ""

    # ---- what is done -----------------------------------------------------------------------

    def _do(self, action: Action, work: _Work) -> bool:  # noqa: PLR0911 - one for each action
        match action:
            case VerifyRevision():
                return self._verify(work)
            case SmokeTest(pinned=pinned):
                return self._smoke_test(work, pinned=pinned)
            case ShiftTraffic(step=number):
                return self._shift_traffic(work, number)
            case KeepWaiting(reason=reason):
                return self._wait(work, reason)
            case Complete():
                return self._end(work, "done", "")
            case FailDeployment(reason=reason):
                return self._fail(work, reason)
            case RollBack(reason=reason):
                return self._roll_back(work, reason)

    def _verify(self, work: _Work) -> bool:
        outcome = self._verifications.recheck(work.revision)
        if outcome is None:
            return self._wait(work, _BEING_VERIFIED)
        if outcome.error is None:
            return self._mark(work, "ready", "verified: its golden rows came back as they should")
        if is_retryable(outcome.error):
            return self._wait(work, f"it is verified again: {described(outcome.error)}")
        return self._mark(work, "failed", described(outcome.error))

    def _mark(self, work: _Work, state: RevisionState, reason: str) -> bool:
        one = work.revision
        return self._stores.ledger.routes.mark(one.model, one.name, state, reason, was=one.state)

    def _smoke_test(self, work: _Work, *, pinned: bool) -> bool:
        goldens = self._goldens(work, pinned=pinned)
        if goldens is None:
            return self._wait(work, _BEING_VERIFIED)
        deployment, step = work.deployment, work.step
        # Where others of the route cannot be served, a part of its requests fails.
        alone = pinned or goldens.keys() < work.snapshot.routed
        revision = deployment.revision if alone else None
        call = partial(smoke_test, self._endpoint, deployment.model, goldens, revision=revision)
        key = (deployment.model, *step.number, step.tries)
        outcome = self._tests.poll(key, call)
        if outcome is None:
            return False
        self._tests.forget(key)
        step.tries += 1
        self._note_test(step, outcome)
        if step.tested and not pinned:
            step.passed = self._clock()
        return True

    def _goldens(self, work: _Work, *, pinned: bool) -> Mapping[str, Golden] | None:
        """Golden rows of what is tested, the candidate's first; None where those are not known.

        Others of the route that could not be verified do not answer, and are not tested.
        """
        candidate = work.deployment.revision
        verified = self._verifications.verified(work.deployment.model)
        if candidate not in verified:
            return None
        others = frozenset() if pinned else work.snapshot.routed - {candidate}
        names = [candidate, *sorted(others & verified.keys())]
        return {name: verified[name].golden for name in names}

    def _note_test(self, step: _StepState, outcome: CallOutcome[SmokeTestResult]) -> None:
        """A server that does not answer says nothing about the model, until it lasts too long."""
        if outcome.result is not None:
            step.difference = outcome.result.difference
            step.tested, step.unreached = not step.difference, None
            return
        assert outcome.error is not None
        step.unreached = step.unreached or self._clock()
        lasted = self._clock() - step.unreached > _PATIENCE
        if lasted or not isinstance(outcome.error, Unreachable):
            step.tested, step.difference = False, described(outcome.error)

    def _shift_traffic(self, work: _Work, number: int) -> bool:
        deployment, snapshot = work.deployment, work.snapshot
        traffic = with_share(snapshot.before, deployment.revision, deployment.steps[number])
        route = Route(
            model=deployment.model,
            number=0,  # the ledger gives it
            traffic=traffic,
            kind="deploy",
            why=f"{deployment.revision} gets {traffic[deployment.revision]} %",
            details="",  # given with the change
            sticky=deployment.sticky,
            before=deployment.base,
        )
        moved = replace(deployment, step=number, reason="")
        put_in_force(self._stores, route, previous=snapshot.route, deployment=moved)
        self._on_event(DeploymentChanged(deployment=moved))
        return True

    def _wait(self, work: _Work, reason: str) -> bool:
        """Write down what it waits for; not each time that a number in it changes."""
        recent = self._clock() - work.step.reason_at < _REASON_PERIOD
        if reason != work.deployment.reason and not recent:
            work.step.reason_at = self._clock()
            self._write(replace(work.deployment, reason=reason))
        return False

    def _write(self, deployment: Deployment) -> None:
        written = self._stores.ledger.deployments.advance(deployment)
        self._on_event(DeploymentChanged(deployment=written))

    def _end(self, work: _Work, state: DeploymentState, reason: str) -> bool:
        self._write(replace(work.deployment, state=state, reason=reason))
        return True

    def _fail(self, work: _Work, reason: str) -> bool:
        """End it; a step of a canary that it superseded is no route that can stay."""
        if is_superseded_step(work.snapshot.route, work.deployment.base):
            return self._roll_back(work, reason)
        self._mark_failed(work, reason)
        return self._end(work, "failed", reason)

    def _roll_back(self, work: _Work, reason: str) -> bool:
        """Put the route that it began from in force again; where there is none, an empty one."""
        self._mark_failed(work, reason)
        ended = replace(work.deployment, state="undone", reason=reason)
        undo(self._stores, ended.model, reason, deployment=ended)
        self._on_event(DeploymentChanged(deployment=ended))
        return True

    def _mark_failed(self, work: _Work, reason: str) -> None:
        """Mark the revision as failed, first of all: a server that takes over then knows it.

        One that had traffic before the deployment goes back to having it.
        """
        if work.revision.state != "failed" and work.revision.name not in work.snapshot.before:
            self._mark(work, "failed", reason)


def _late(route: Route | None, servers: Sequence[Server]) -> str:
    """Which of these servers do not follow the route yet."""
    late = servers_late(servers, route) if route else []
    named = ", ".join(f"{one.id} ({one.url})" for one in late)
    return f"waiting for servers to follow route {route.number}: {named}" if late and route else ""


def _verdict(
    work: _Work, observations: Sequence[StepObservation], servers: Sequence[Server]
) -> CanaryVerdict:
    """The canary judge's on what all servers saw, once each that is alive has seen enough of it."""
    alive = [observations[0].server, *(one.id for one in servers)]
    return judge(
        work.deployment.bounds,
        candidate=total(observations, [work.deployment.revision]),
        others=total(observations, work.others),
        seconds=duration(observations, alive),
    )
