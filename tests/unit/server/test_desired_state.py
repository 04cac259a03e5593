"""What the serving processes are to hold and to route, and whether they do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from fairlead.records import Column, Deployment, Revision, RevisionState, Route, Signature
from fairlead.rollout.verification import VerifiedRevision
from fairlead.server.desired_state import (
    DesiredState,
    build_plan,
    confirmed_by_all,
    desired_state,
    is_applied,
    is_draining,
    load_fault,
    still_confirmed,
)
from fairlead.server.snapshot import ModelSnapshot
from fairlead.serving.plan import Confirmed, Facts, Held, Report
from fairlead.serving.proof import Golden

SIGNATURE = Signature(columns=(Column(name="x", kind="number"),), target="y")
FACTS = Facts(steady=True, missing=False, seconds=1e-5, size=1)


def verified(*names: str) -> dict[str, VerifiedRevision]:
    return {name: _verified(name) for name in names}


def _verified(name: str) -> VerifiedRevision:
    version = int(name.removeprefix("v"))
    held = Held(
        model="m",
        revision=name,
        version=version,
        file=f"{version}" * 64,
        signature=SIGNATURE,
        facts=FACTS,
        allowance=Revision(model="m", name=name, version=version).allowance,
        edges=(float(version),),
    )
    return VerifiedRevision(held=held, golden=Golden(rows=[], predictions=[]))


def route(number: int, **traffic: int) -> Route:
    return Route(model="m", number=number, traffic=traffic, kind="deploy", why="", details="")


def snapshot(
    in_force: Route | None,
    *,
    deploying: str | None = None,
    state: RevisionState = "ready",
    base: Route | None = None,
) -> ModelSnapshot:
    deployment = None
    revisions: dict[str, Revision] = {}
    if deploying is not None:
        deployment = Deployment(model="m", number=1, revision=deploying, steps=(10, 100))
        revisions[deploying] = Revision(model="m", name=deploying, version=2, state=state)
    return ModelSnapshot(
        model="m", route=in_force, deployment=deployment, base=base, revisions=revisions
    )


def desired(
    whole: ModelSnapshot,
    known: Mapping[str, VerifiedRevision],
    *,
    faults: Mapping[str, str] | None = None,
    present: DesiredState | None = None,
) -> DesiredState | None:
    return desired_state(whole, known, faults=faults or {}, present=present)


def held(found: DesiredState | None) -> list[str]:
    assert found is not None
    return [one.revision for one in found.held]


def test_what_is_routed_is_held_and_split_as_the_route_says() -> None:
    found = desired(snapshot(route(3, v1=90, v2=10)), verified("v1", "v2", "v3"))
    assert held(found) == ["v1", "v2"]
    assert found
    assert (found.split.route, found.split.traffic) == (3, {"v1": 90, "v2": 10})


def test_nothing_is_said_of_a_model_that_has_no_route_and_nothing_to_hold() -> None:
    assert desired(snapshot(None), verified("v1")) is None
    assert desired(snapshot(None, deploying="v2"), verified("v1")) is None


def test_where_nothing_answers_yet_what_could_be_proved_is_held_and_the_rest_is_missing() -> None:
    damaged = {"v2": "damaged"}
    found = desired(snapshot(route(3, v1=90, v2=10)), verified("v1"), faults=damaged)
    assert held(found) == ["v1"]
    assert found
    assert found.split.traffic == {"v1": 90, "v2": 10}
    assert found.split.missing["v2"].why == "revision 'v2' of model 'm' cannot be served: damaged"
    assert found.answers
    assert not found.is_complete


def test_what_is_still_being_proved_is_missing_and_says_so() -> None:
    found = desired(snapshot(route(3, v1=100)), {})
    assert held(found) == []
    assert found
    assert "is being checked" in found.split.missing["v1"].why
    assert not found.answers


def test_a_missing_revision_is_known_by_its_version_too() -> None:
    whole = snapshot(route(3, v2=100), deploying="v2", state="serving")
    found = desired(whole, {})
    assert found
    assert found.split.missing["v2"].version == 2


def test_what_answers_stays_as_it_is_where_a_route_needs_what_is_not_proved() -> None:
    present = desired(snapshot(route(1, v1=100)), verified("v1"))
    new = snapshot(route(2, v1=90, v2=10))
    assert desired(new, verified("v1"), present=present) is None
    assert held(desired(new, verified("v1", "v2"), present=present)) == ["v1", "v2"]


def test_what_is_missing_may_go_on_missing_while_another_comes_in_beside_it() -> None:
    present = desired(snapshot(route(1, v1=50, v2=50)), verified("v2"))
    now = snapshot(route(1, v1=50, v2=50), deploying="v3", base=route(1, v1=50, v2=50))
    ready = desired(now, verified("v2", "v3"), present=present)
    assert held(ready) == ["v2", "v3"]
    canary = snapshot(route(2, v1=45, v2=45, v3=10), deploying="v3", state="serving")
    found = desired(canary, verified("v2", "v3"), present=ready)
    assert found
    assert [*found.split.missing] == ["v1"]
    others = snapshot(route(3, v1=40, v4=60))
    assert desired(others, verified("v2", "v3"), present=found) is None


def test_a_route_is_followed_whatever_is_missing_where_nothing_answers_anyway() -> None:
    present = desired(snapshot(route(1, v1=100)), {})
    found = desired(snapshot(route(2, v2=60, v3=40)), verified("v2"), present=present)
    assert held(found) == ["v2"]


def test_what_was_missing_is_held_as_soon_as_it_is_proved() -> None:
    whole = snapshot(route(1, v1=50, v2=50))
    found = desired(whole, verified("v1", "v2"), present=desired(whole, verified("v2")))
    assert held(found) == ["v1", "v2"]
    assert found
    assert found.is_complete


def test_what_is_wanted_stays_the_same_once_it_is_present() -> None:
    whole = snapshot(route(1, v1=50, v2=50), deploying="v2", base=route(1, v1=100))
    present = desired(whole, verified("v2"))
    assert desired(whole, verified("v2"), present=present) == present


def test_the_bins_stay_while_a_deployment_lasts_whoever_is_proved_meanwhile() -> None:
    whole = snapshot(route(2, v1=90, v2=10), deploying="v2", state="serving", base=route(1, v1=100))
    present = desired(whole, verified("v2"))
    found = desired(whole, verified("v1", "v2"), present=present)
    assert found
    assert {one.edges for one in found.held} == {(2.0,)}


def test_of_a_model_that_is_out_of_service_nothing_is_held_and_that_is_told() -> None:
    found = desired(snapshot(route(3)), verified("v1"))
    assert held(found) == []
    assert found
    assert (found.split.route, found.split.traffic) == (3, {})
    assert found.split.out == "out of service since 1970-01-01T00:00:00Z: "
    assert not build_plan(1, {"m": found}, confirmed={}).lacking


def test_what_comes_back_into_service_is_held_before_it_has_traffic() -> None:
    found = desired(snapshot(route(3), deploying="v2", base=route(3)), verified("v2"))
    assert held(found) == ["v2"]
    assert found
    assert (found.split.traffic, bool(found.split.out)) == ({}, True)


def test_a_candidate_is_held_without_traffic_once_it_is_ready() -> None:
    now = route(1, v1=100)
    known = verified("v1", "v2")
    assert held(desired(snapshot(now, deploying="v2", base=now), known)) == ["v1", "v2"]


@pytest.mark.parametrize("state", ["loading", "failed"])
def test_a_candidate_that_is_not_ready_is_not_held(state: RevisionState) -> None:
    now = route(1, v1=100)
    found = desired(snapshot(now, deploying="v2", state=state, base=now), verified("v1", "v2"))
    assert held(found) == ["v1"]


def test_the_first_revision_of_a_model_is_held_before_anything_is_routed() -> None:
    found = desired(snapshot(None, deploying="v2"), verified("v2"))
    assert held(found) == ["v2"]
    assert found
    assert (found.split.route, found.split.traffic) == (0, {})


def test_what_a_deployment_may_go_back_to_stays_held_until_it_ends() -> None:
    whole = snapshot(route(2, v2=100), deploying="v2", state="serving", base=route(1, v1=100))
    assert held(desired(whole, verified("v1", "v2"))) == ["v1", "v2"]
    assert held(desired(snapshot(route(2, v2=100)), verified("v1", "v2"))) == ["v2"]


@pytest.mark.parametrize("traffic", [{"v1": 90, "v2": 10}, {"v2": 100}])
def test_all_are_counted_by_the_bins_of_what_was_live_before_the_deployment(
    traffic: Mapping[str, int],
) -> None:
    base = route(1, v1=100)
    found = desired(
        snapshot(route(2, **traffic), deploying="v2", state="serving", base=base),
        verified("v1", "v2"),
    )
    assert found
    assert {one.edges for one in found.held} == {(1.0,)}


def test_a_plan_has_every_model_s_part() -> None:
    one = desired(snapshot(route(1, v1=100)), verified("v1"))
    assert one
    other = replace(one, split=replace(one.split, model="a"))
    plan = build_plan(7, {"m": one, "a": other}, confirmed={"a": confirmed_by_all(other)})
    assert plan.serial == 7
    assert [split.model for split in plan.splits] == ["a", "m"]
    assert len(plan.held) == 2
    assert not plan.lacking


def test_with_nothing_to_serve_no_process_is_ready_and_says_why() -> None:
    assert build_plan(1, {}, confirmed={}).lacking == "no model is live yet"
    assert build_plan(1, {}, confirmed={}, fault="locked").lacking == "locked"
    gone = desired(snapshot(route(1, v1=100)), {}, faults={"v1": "damaged"})
    assert gone
    assert "damaged" in build_plan(1, {"m": gone}, confirmed={}).lacking
    assert not confirmed_by_all(gone).traffic


def test_a_process_that_can_answer_for_one_model_is_ready_whatever_others_lack() -> None:
    one = desired(snapshot(route(1, v1=100)), verified("v1"))
    gone = desired(snapshot(route(1, v2=100)), {})
    assert one
    assert gone
    confirmed = {"a": confirmed_by_all(gone), "m": confirmed_by_all(one)}
    assert not build_plan(1, {"a": gone, "m": one}, confirmed=confirmed).lacking


def test_nothing_is_ready_before_every_process_answers_for_something() -> None:
    one = desired(snapshot(route(1, v1=100)), verified("v1"))
    tested = desired(snapshot(None, deploying="v1"), verified("v1"))
    assert one
    assert tested
    assert held(tested) == ["v1"]
    assert "every serving process" in build_plan(1, {"m": one}, confirmed={}).lacking
    assert confirmed_by_all(tested) == Confirmed(revisions=("v1",))
    plan = build_plan(1, {"m": tested}, confirmed={"m": confirmed_by_all(tested)})
    assert plan.lacking == "no model is live yet"


def test_on_the_way_to_another_state_what_is_in_both_stays_confirmed() -> None:
    one = desired(snapshot(route(1, v1=100)), verified("v1"))
    both = desired(snapshot(route(2, v1=50, v2=50)), verified("v1", "v2"))
    out = desired(snapshot(route(3)), verified("v1"))
    assert one
    assert both
    assert out
    assert still_confirmed(confirmed_by_all(one), both) == Confirmed(
        traffic=True, revisions=("v1",)
    )
    assert still_confirmed(confirmed_by_all(one), out) == Confirmed()
    assert still_confirmed(confirmed_by_all(out), one) == Confirmed()


FOLLOWS = Report(serial=4, routes={"m": 2})


@pytest.mark.parametrize(
    ("reports", "followed"),
    [
        ((), False),
        ((FOLLOWS, FOLLOWS), True),
        ((FOLLOWS, None), False),
        ((FOLLOWS, replace(FOLLOWS, serial=3)), False),
        ((FOLLOWS, replace(FOLLOWS, serial=5)), True),
        ((FOLLOWS, replace(FOLLOWS, routes={})), False),
        ((FOLLOWS, replace(FOLLOWS, behind=("m",))), False),
        ((FOLLOWS, replace(FOLLOWS, behind=("other",))), True),
    ],
)
def test_a_plan_is_followed_once_every_process_does(
    reports: tuple[Report | None, ...], *, followed: bool
) -> None:
    assert is_applied(reports, "m", serial=4) is followed


def test_a_fault_of_any_process_is_told() -> None:
    faulty = replace(FOLLOWS, faults={"m": "v2: damaged"})
    assert load_fault((FOLLOWS, None, faulty), "m") == "v2: damaged"
    assert not load_fault((FOLLOWS, None, faulty), "other")


def test_a_revision_drains_as_long_as_a_process_answers_with_it() -> None:
    busy = replace(FOLLOWS, draining=(("m", "v1"),))
    assert is_draining((FOLLOWS, busy), "m", "v1")
    assert not is_draining((FOLLOWS, busy, None), "m", "v2")
