"""Carrying deployments out.

Belongs here: doing what decide.py says comes next, and finding out what it has to know. Does not:
the rules (decide.py), serving processes (process_pool.py).

Whatever must outlive this program is in the ledger before anything follows from it. So a server
that takes over does what this one would have done, and may test again what was tested.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from fairlead.artifacts import Artifacts
from fairlead.errors import Conflict, Unreachable
from fairlead.ledger.interface import Ledger
from fairlead.records import Deployment, DeploymentState, Revision, RevisionState, Route
from fairlead.rollout.background import BackgroundCalls, CallOutcome
from fairlead.rollout.routes import put_in_force, undo
from fairlead.rollout.smoke_test import Endpoint, SmokeTestResult, smoke_test
from fairlead.rollout.traffic_split import with_share
from fairlead.rollout.undo import is_superseded_step
from fairlead.rollout.verification import Verifications, is_retryable, one_line
from fairlead.server.canary import Baseline, CanaryMetrics, CanaryVerdict
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
from fairlead.serving.proof import Golden

_PATIENCE = 10.0
"""Seconds that something may be in the way before it counts: a process that is replaced, a file
that cannot be read just now."""
_SAYING = 1.0
"""Seconds between two reasons that are written down while the same step waits."""
_AT_ONCE = 4  # deployments that are tested at the same time
_CRASHES = 3
"""So many crashes of processes while a revision comes in are its own."""


@dataclass(frozen=True, kw_only=True)
class ProcessStatus:
    """How far the serving processes are with a model.

    Args:
        followed: Whether all of them do what the ledger says.
        fault: Why one of them cannot.
        crashes: How many of them have crashed since the server began.
    """

    followed: bool
    fault: str
    crashes: int


@dataclass(kw_only=True)
class _Step:
    """What is known of the present step of a deployment. Filled in as it goes."""

    crashes: int  # before it
    tested: bool | None = None
    difference: str = ""
    passed: float | None = None  # when its golden rows had come back through the route
    since: Baseline | None = None
    tries: int = 0  # at asking
    unreached: float | None = None  # since when nobody answers
    faulty: float | None = None  # since when a process cannot follow
    said: float = float("-inf")  # when a reason was written down last


class Executor:
    """Carries out the deployments of one server.

    Args:
        ledger: Where they are.
        artifacts: Take what changes of routes leave.
        proofs: Of their revisions.
        address: The server's own, to be asked like anybody would.
        eyes: See what the processes count.
        ended: Called when golden rows have come back.
        told: Told how they go on.
        clock: Seconds, rising.
    """

    def __init__(  # noqa: PLR0913 - each is another thing that a deployment touches
        self,
        ledger: Ledger,
        artifacts: Artifacts,
        *,
        proofs: Verifications,
        address: Endpoint,
        eyes: CanaryMetrics,
        ended: Callable[[], None],
        told: Callable[[ServerEvent], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger, self._artifacts = ledger, artifacts
        self._proofs, self._address, self._eyes = proofs, address, eyes
        self._told, self._clock = told, clock
        self._asked: BackgroundCalls[SmokeTestResult] = BackgroundCalls(
            max_parallel=_AT_ONCE, on_finished=ended
        )
        self._steps: dict[str, tuple[tuple[int, int], _Step]] = {}

    def carry(self, standing: ModelSnapshot, seen: ProcessStatus) -> bool:
        """Do what comes next; whether the ledger says something new now.

        Args:
            standing: Of a model with a deployment that this server holds.
            seen: How far the processes are with it.
        """
        deployment, revision = standing.deployment, standing.candidate
        if deployment is None or revision is None:
            return False
        step = self._step(deployment, seen)
        progress = self._progress(standing, deployment, step, seen)
        try:
            return self._do(next_action(deployment, revision, progress), standing, step)
        except Conflict as error:
            self._told(ServerNotice(text=one_line(error)))
            return True

    # ---- what is known ----------------------------------------------------------------------

    def _step(self, deployment: Deployment, seen: ProcessStatus) -> _Step:
        key = (deployment.number, deployment.step)
        if self._steps.get(deployment.model, (None,))[0] != key:
            self._steps[deployment.model] = (key, _Step(crashes=seen.crashes))
        return self._steps[deployment.model][1]

    def _progress(
        self, standing: ModelSnapshot, deployment: Deployment, step: _Step, seen: ProcessStatus
    ) -> Progress:
        others = frozenset(standing.before) - {deployment.revision}
        return Progress(
            followed=seen.followed,
            alone=not others,
            fault=self._fault(step, seen),
            tested=step.tested,
            difference=step.difference,
            ruling=self._ruling(deployment, step, others),
        )

    def _ruling(
        self, deployment: Deployment, step: _Step, others: frozenset[str]
    ) -> CanaryVerdict | None:
        """What the judge says; None as long as the traffic of the step cannot be told apart."""
        if step.since is None and step.passed is not None:
            step.since = self._eyes.open(after=step.passed)
        if step.since is None:
            return None
        return self._eyes.rule(
            deployment.bounds,
            step.since,
            deployment.model,
            candidate=deployment.revision,
            others=others,
        )

    def _fault(self, step: _Step, seen: ProcessStatus) -> str:
        """What speaks against it for so long, or so often, that it is no accident."""
        crashes = seen.crashes - step.crashes
        if crashes >= _CRASHES:
            return f"serving processes crashed {crashes} times since it came in"
        if not seen.fault:
            step.faulty = None
            return ""
        step.faulty = step.faulty or self._clock()
        return seen.fault if self._clock() - step.faulty > _PATIENCE else ""

    # ---- what is done -----------------------------------------------------------------------

    def _do(  # noqa: PLR0911 - one for each action
        self, action: Action, standing: ModelSnapshot, step: _Step
    ) -> bool:
        deployment, revision = standing.deployment, standing.candidate
        assert deployment is not None
        assert revision is not None
        match action:
            case VerifyRevision():
                return self._check(deployment, revision, step)
            case SmokeTest(pinned=pinned):
                return self._ask(standing, deployment, step, pinned=pinned)
            case ShiftTraffic(step=number):
                return self._change(standing, deployment, number)
            case KeepWaiting(reason=reason):
                return self._wait(deployment, step, reason)
            case Complete():
                return self._end(deployment, "done", "")
            case FailDeployment(reason=reason):
                return self._fail(standing, deployment, revision, reason)
            case RollBack(reason=reason):
                return self._go_back(standing, deployment, revision, reason)

    def _check(self, deployment: Deployment, revision: Revision, step: _Step) -> bool:
        ended = self._proofs.recheck(revision)
        if ended is None:
            return self._wait(deployment, step, "it is checked in a process of its own")
        if ended.error is None:
            return self._mark(revision, "ready", "its golden rows came back in a check")
        if is_retryable(ended.error):
            return self._wait(deployment, step, f"it is checked again: {one_line(ended.error)}")
        return self._mark(revision, "failed", one_line(ended.error))

    def _mark(self, revision: Revision, state: RevisionState, reason: str) -> bool:
        return self._ledger.routes.mark(
            revision.model, revision.name, state, reason, was=revision.state
        )

    def _ask(
        self, standing: ModelSnapshot, deployment: Deployment, step: _Step, *, pinned: bool
    ) -> bool:
        goldens = self._goldens(standing, deployment, pinned=pinned)
        if goldens is None:
            return self._wait(deployment, step, "it is checked in a process of its own")
        alone = pinned or goldens.keys() < standing.routed  # the route fails for a part of it
        work = partial(
            smoke_test,
            self._address,
            deployment.model,
            goldens,
            revision=deployment.revision if alone else None,
        )
        key = (deployment.model, deployment.number, deployment.step, step.tries)
        ended = self._asked.poll(key, work)
        if ended is None:
            return False
        self._asked.forget(key)
        step.tries += 1
        self._take_in(step, ended)
        if step.tested and not pinned:
            step.passed = self._clock()
        return True

    def _goldens(
        self, standing: ModelSnapshot, deployment: Deployment, *, pinned: bool
    ) -> Mapping[str, Golden] | None:
        """Golden rows of what is asked, the candidate's first; None where those are not known.

        Others of the route that could not be proved do not answer, and are not asked.
        """
        proved = self._proofs.verified(deployment.model)
        if deployment.revision not in proved:
            return None
        others = frozenset() if pinned else standing.routed - {deployment.revision}
        names = [deployment.revision, *sorted(others & proved.keys())]
        return {name: proved[name].golden for name in names}

    def _take_in(self, step: _Step, ended: CallOutcome[SmokeTestResult]) -> None:
        """That nobody answers says nothing about the model, until it has lasted for too long."""
        if ended.result is not None:
            step.tested, step.difference = not ended.result.difference, ended.result.difference
            step.unreached = None
            return
        assert ended.error is not None
        step.unreached = step.unreached or self._clock()
        lasted = self._clock() - step.unreached > _PATIENCE
        if lasted or not isinstance(ended.error, Unreachable):
            step.tested, step.difference = False, one_line(ended.error)

    def _change(self, standing: ModelSnapshot, deployment: Deployment, number: int) -> bool:
        percent = deployment.steps[number]
        traffic = with_share(standing.before, deployment.revision, percent)
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
        put_in_force(
            self._ledger, self._artifacts, route, previous=standing.route, deployment=moved
        )
        self._told(DeploymentChanged(deployment=moved))
        return True

    def _wait(self, deployment: Deployment, step: _Step, reason: str) -> bool:
        """Write down what it waits for; not each time that a number in it changes."""
        soon = self._clock() - step.said < _SAYING
        if reason != deployment.reason and not soon:
            step.said = self._clock()
            self._told(
                DeploymentChanged(
                    deployment=self._ledger.deployments.advance(replace(deployment, reason=reason))
                )
            )
        return False

    def _end(self, deployment: Deployment, state: DeploymentState, reason: str) -> bool:
        ended = replace(deployment, state=state, reason=reason)
        self._told(DeploymentChanged(deployment=self._ledger.deployments.advance(ended)))
        return True

    def _fail(
        self, standing: ModelSnapshot, deployment: Deployment, revision: Revision, reason: str
    ) -> bool:
        """End it; the step of a canary that it superseded is no route that can stay."""
        if is_superseded_step(standing.route, deployment.base):
            return self._go_back(standing, deployment, revision, reason)
        self._condemn(standing, revision, reason)
        return self._end(deployment, "failed", reason)

    def _go_back(
        self, standing: ModelSnapshot, deployment: Deployment, revision: Revision, reason: str
    ) -> bool:
        """Put the route that it began from in force again; where there is none, one of nobody."""
        self._condemn(standing, revision, reason)
        ended = replace(deployment, state="undone", reason=reason)
        undo(self._ledger, self._artifacts, deployment.model, reason, deployment=ended)
        self._told(DeploymentChanged(deployment=ended))
        return True

    def _condemn(self, standing: ModelSnapshot, revision: Revision, reason: str) -> None:
        """Mark it as failed, first of all: whoever takes over then knows what was decided.

        One that had traffic before the deployment goes back to having it.
        """
        if revision.state != "failed" and revision.name not in standing.before:
            self._mark(revision, "failed", reason)
