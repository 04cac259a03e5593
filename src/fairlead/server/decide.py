"""What a deployment does next.

Belongs here: rules over records. Does not: clocks, processes, requests, the ledger.

A deployment goes: check the revision in a child process; have the serving processes hold it; ask
it its golden rows through the real address while it has no traffic; then, step by step, route
traffic to it, ask the golden rows through the route, and wait for the judge. Everything that must
outlive a crash is in the ledger (the revision's state and the deployment's step); what is only
known to who carries it out (`Progress`) is found out again.
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
        alone: Whether there is nobody to share the traffic with, and to compare it to.
        fault: Why they cannot.
        tested: Whether its golden rows came back as they should; None where not asked yet.
        difference: What was wrong with them.
        ruling: What the judge says.
    """

    followed: bool = False
    alone: bool = False
    fault: str = ""
    tested: bool | None = None
    difference: str = ""
    ruling: CanaryVerdict | None = None


@dataclass(frozen=True, kw_only=True)
class VerifyRevision:
    """Load the revision in a child process and ask it its golden rows there."""


@dataclass(frozen=True, kw_only=True)
class SmokeTest:
    """Ask the golden rows through the real address."""

    pinned: bool  # the revision itself, while it has no traffic; else through the route


@dataclass(frozen=True, kw_only=True)
class ShiftTraffic:
    """Route the traffic of this step."""

    step: int


@dataclass(frozen=True, kw_only=True)
class KeepWaiting:
    """Nothing is to be done now."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Complete:
    """It has all the traffic and passed its test."""


@dataclass(frozen=True, kw_only=True)
class FailDeployment:
    """It ends before it had any traffic."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class RollBack:
    """The route that it began from is to be in force again."""

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
        return KeepWaiting(reason="the serving processes take up the route")
    if progress.tested is None:
        return SmokeTest(pinned=False)
    if not progress.tested:
        return RollBack(reason=progress.difference)
    if deployment.step == len(deployment.steps) - 1:
        return Complete()
    return _judged(deployment, progress.ruling)


def _judged(deployment: Deployment, ruling: CanaryVerdict | None) -> Action:
    percent = deployment.steps[deployment.step]
    match ruling:
        case Passed():
            return ShiftTraffic(step=deployment.step + 1)
        case Regressed(reason=reason):
            return RollBack(reason=f"at {percent} % of the traffic: {reason}")
        case Undecided(reason=reason):
            return KeepWaiting(reason=f"at {percent} % of the traffic: {reason}")
        case None:
            return KeepWaiting(reason=f"at {percent} % of the traffic: nothing was seen yet")
