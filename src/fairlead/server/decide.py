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
from fairlead.server.canary import Back, Go, Ruling
from fairlead.server.canary import Wait as JudgeWaits


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
    ruling: Ruling | None = None


@dataclass(frozen=True, kw_only=True)
class Check:
    """Load the revision in a child process and ask it its golden rows there."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Ask the golden rows through the real address."""

    pinned: bool  # the revision itself, while it has no traffic; else through the route


@dataclass(frozen=True, kw_only=True)
class Change:
    """Route the traffic of this step."""

    step: int


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Nothing is to be done now."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Finish:
    """It has all the traffic and passed its test."""


@dataclass(frozen=True, kw_only=True)
class Fail:
    """It ends before it had any traffic."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class GoBack:
    """The route that it began from is to be in force again."""

    reason: str


Action: TypeAlias = Check | Ask | Change | Wait | Finish | Fail | GoBack


def next_action(deployment: Deployment, revision: Revision, progress: Progress) -> Action:
    """What a running deployment does next.

    Args:
        deployment: As it is in the ledger.
        revision: Its revision, as it is in the ledger.
        progress: What is known of the present step.
    """
    if revision.state == "loading":
        return Check()
    if deployment.step < 0:
        return _before(deployment, revision, progress)
    if revision.state == "failed":
        return GoBack(reason=revision.reason)
    return _during(deployment, progress)


def _before(deployment: Deployment, revision: Revision, progress: Progress) -> Action:
    if revision.state == "failed":
        return Fail(reason=revision.reason)
    if progress.fault:
        return Fail(reason=progress.fault)
    if not progress.followed:
        return Wait(reason="the serving processes load it")
    if progress.tested is None:
        return Ask(pinned=True)
    if not progress.tested:
        return Fail(reason=progress.difference)
    return Change(step=len(deployment.steps) - 1 if progress.alone else 0)


def _during(deployment: Deployment, progress: Progress) -> Action:
    if progress.fault:
        return GoBack(reason=progress.fault)
    if not progress.followed:
        return Wait(reason="the serving processes take up the route")
    if progress.tested is None:
        return Ask(pinned=False)
    if not progress.tested:
        return GoBack(reason=progress.difference)
    if deployment.step == len(deployment.steps) - 1:
        return Finish()
    return _judged(deployment, progress.ruling)


def _judged(deployment: Deployment, ruling: Ruling | None) -> Action:
    percent = deployment.steps[deployment.step]
    match ruling:
        case Go():
            return Change(step=deployment.step + 1)
        case Back(reason=reason):
            return GoBack(reason=f"at {percent} % of the traffic: {reason}")
        case JudgeWaits(reason=reason):
            return Wait(reason=f"at {percent} % of the traffic: {reason}")
        case None:
            return Wait(reason=f"at {percent} % of the traffic: nothing was seen yet")
