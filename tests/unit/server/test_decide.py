"""What a deployment does next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fairlead.records import Deployment, Revision
from fairlead.server.canary import Passed, Regressed, Undecided
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

DEPLOYMENT = Deployment(model="m", number=1, revision="v2", steps=(10, 50, 100))
READY = Revision(model="m", name="v2", version=2, state="ready")
SERVING = replace(READY, state="serving")
FOLLOWED = Progress(followed=True)
TESTED = Progress(followed=True, tested=True)
LATE = replace(TESTED, late="waiting for b")


@pytest.mark.parametrize(
    ("revision", "progress", "action"),
    [
        (replace(READY, state="loading"), Progress(), VerifyRevision()),
        (
            replace(READY, state="failed", reason="it crashed"),
            Progress(),
            FailDeployment(reason="it crashed"),
        ),
        (READY, Progress(), KeepWaiting(reason="the serving processes load it")),
        (READY, Progress(fault="damaged"), FailDeployment(reason="damaged")),
        (READY, FOLLOWED, SmokeTest(pinned=True)),
        (READY, TESTED, ShiftTraffic(step=0)),
        (READY, replace(TESTED, alone=True), ShiftTraffic(step=2)),
        (READY, replace(TESTED, tested=False, difference="row 3"), FailDeployment(reason="row 3")),
    ],
)
def test_before_it_has_traffic_a_revision_is_proved(
    revision: Revision, progress: Progress, action: Action
) -> None:
    assert next_action(DEPLOYMENT, revision, progress) == action


@pytest.mark.parametrize(
    ("step", "progress", "action"),
    [
        (0, Progress(), KeepWaiting(reason="the serving processes apply the route")),
        (0, FOLLOWED, SmokeTest(pinned=False)),
        (0, replace(TESTED, tested=False, difference="row 3"), RollBack(reason="row 3")),
        (0, replace(FOLLOWED, fault="gone"), RollBack(reason="gone")),
        (0, TESTED, KeepWaiting(reason="at 10 % of the traffic: nothing was observed yet")),
        (0, replace(TESTED, verdict=Passed()), ShiftTraffic(step=1)),
        (
            1,
            replace(TESTED, verdict=Regressed(reason="slow")),
            RollBack(reason="at 50 % of the traffic: slow"),
        ),
        (
            1,
            replace(TESTED, verdict=Undecided(reason="3 of 100")),
            KeepWaiting(reason="at 50 % of the traffic: 3 of 100"),
        ),
        (2, FOLLOWED, SmokeTest(pinned=False)),
        (2, TESTED, Complete()),
        (2, LATE, KeepWaiting(reason="waiting for b")),
        (0, LATE, KeepWaiting(reason="at 10 % of the traffic: waiting for b")),
        (0, replace(LATE, tested=None), SmokeTest(pinned=False)),
        (
            0,
            replace(LATE, verdict=Passed()),
            KeepWaiting(reason="at 10 % of the traffic: waiting for b"),
        ),
        (
            0,
            replace(LATE, verdict=Undecided(reason="3 of 100")),
            KeepWaiting(reason="at 10 % of the traffic: waiting for b"),
        ),
        (
            0,
            replace(LATE, verdict=Regressed(reason="slow")),
            RollBack(reason="at 10 % of the traffic: slow"),
        ),
    ],
)
def test_each_step_is_followed_tested_and_judged_before_the_next(
    step: int, progress: Progress, action: Action
) -> None:
    assert next_action(replace(DEPLOYMENT, step=step), SERVING, progress) == action


@pytest.mark.parametrize("step", [0, 1, 2])
def test_what_was_condemned_goes_back_whoever_looks_next(step: int) -> None:
    failed = replace(SERVING, state="failed", reason="row 3")
    action = next_action(replace(DEPLOYMENT, step=step), failed, TESTED)
    assert action == RollBack(reason="row 3")
