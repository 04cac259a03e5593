"""What a deployment does next: rules over records, without clocks, processes or the ledger.

A deployment verifies the revision in a child process; has the serving processes load it; tests it
through the real address while it has no traffic; then, step by step, shifts traffic to it, tests
the route, and waits for the canary judge. What must survive a crash is in the ledger (the
revision's state and the deployment's step); what only the server that carries it out knows
(`Progress`) is found out again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from fairlead.records import Deployment, Revision
from fairlead.server.canary import CanaryVerdict, Passed, Regressed, Undecided


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What is known of the present step.

    Args:
        followed: Whether every serving process holds the revision, and follows the route where
            there is one of this deployment.
        late: Which other servers do not follow that route yet, in words; empty where all do.
        alone: Whether no other revision has traffic that it could be compared with.
        fault: Why the processes cannot.
        tested: Whether its smoke test passed; None where it was not tested yet.
        difference: What the test found.
        verdict: The canary judge's.
    """

    followed: bool = False
    late: str = ""
    alone: bool = False
    fault: str = ""
    tested: bool | None = None
    difference: str = ""
    verdict: CanaryVerdict | None = None


@dataclass(frozen=True, kw_only=True)
class VerifyRevision:
    """Load the revision in a child process and test its golden rows there."""


@dataclass(frozen=True, kw_only=True)
class SmokeTest:
    """Send golden rows to the real address."""

    pinned: bool  # to the revision itself, while it has no traffic; else to the route


@dataclass(frozen=True, kw_only=True)
class ShiftTraffic:
    """Route the traffic of this step."""

    step: int


@dataclass(frozen=True, kw_only=True)
class KeepWaiting:
    """Nothing to do now."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Complete:
    """It has all of the traffic and passed its test."""


@dataclass(frozen=True, kw_only=True)
class FailDeployment:
    """End it before it had any traffic."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class RollBack:
    """Put the route that it began from in force again."""

    reason: str


Action: TypeAlias = (
    VerifyRevision | SmokeTest | ShiftTraffic | KeepWaiting | Complete | FailDeployment | RollBack
)


def next_action(deployment: Deployment, revision: Revision, progress: Progress) -> Action:
    """What a running deployment does next.

    Args:
        deployment: As it is in the ledger.
        revision: Its revision, as it is in the ledger.
        progress: What is known of the present step.
    """
    if revision.state == "loading":
        return VerifyRevision()
    if deployment.step < 0:
        return _before(deployment, revision, progress)
    if revision.state == "failed":
        return RollBack(reason=revision.reason)
    return _during(deployment, progress)


def _before(deployment: Deployment, revision: Revision, progress: Progress) -> Action:
    if revision.state == "failed":
        return FailDeployment(reason=revision.reason)
    if progress.fault:
        return FailDeployment(reason=progress.fault)
    if not progress.followed:
        return KeepWaiting(reason="the serving processes load it")
    if progress.tested is None:
        return SmokeTest(pinned=True)
    if not progress.tested:
        return FailDeployment(reason=progress.difference)
    return ShiftTraffic(step=len(deployment.steps) - 1 if progress.alone else 0)


def _during(deployment: Deployment, progress: Progress) -> Action:
    if progress.fault:
        return RollBack(reason=progress.fault)
    if not progress.followed:
        return KeepWaiting(reason="the serving processes apply the route")
    if progress.tested is None:
        return SmokeTest(pinned=False)
    if not progress.tested:
        return RollBack(reason=progress.difference)
    if deployment.step == len(deployment.steps) - 1:
        return KeepWaiting(reason=progress.late) if progress.late else Complete()
    return _judged(deployment, progress)


def _judged(deployment: Deployment, progress: Progress) -> Action:
    """A server that is late holds up the next step, and no way back."""
    at = f"at {deployment.steps[deployment.step]} % of the traffic"
    match progress.verdict:
        case Regressed(reason=reason):
            return RollBack(reason=f"{at}: {reason}")
        case _ if progress.late:
            return KeepWaiting(reason=f"{at}: {progress.late}")
        case Passed():
            return ShiftTraffic(step=deployment.step + 1)
        case Undecided(reason=reason):
            return KeepWaiting(reason=f"{at}: {reason}")
        case _:
            return KeepWaiting(reason=f"{at}: nothing was observed yet")
