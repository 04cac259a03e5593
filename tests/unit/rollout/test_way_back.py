"""Which routes stay, and which are gone back from, for lists of routes as people make them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from fairlead.records import Deployment, DeploymentState, Route, RouteKind, Server
from fairlead.rollout.way_back import is_midway, lost, way_back


def routes(*made: tuple[RouteKind, Mapping[str, int], int | None]) -> list[Route]:
    """A model's list: the kind of each, its traffic, and the route that an undo of it goes to."""
    return [
        Route(
            model="m", number=number, traffic=traffic, kind=kind, why="", details="", before=before
        )
        for number, (kind, traffic, before) in enumerate(made, 1)
    ]


def deployment(state: DeploymentState) -> Deployment:
    return Deployment(model="m", number=1, revision="v2", steps=(10, 50, 100), state=state)


def canary(*after: tuple[RouteKind, Mapping[str, int], int | None]) -> list[Route]:
    """v2 at its first step over v1, and what a person did then."""
    step = {"v1": 90, "v2": 10}
    return routes(("deploy", {"v1": 100}, None), ("deploy", step, 1), *after)


def number(found: Route | None) -> int | None:
    return found.number if found else None


def test_a_route_by_hand_goes_back_to_the_one_before() -> None:
    made = routes(("deploy", {"v1": 100}, None), ("set", {"v2": 100}, 1), ("set", {"v1": 50}, 2))
    assert number(way_back(made, None)) == 2


def test_what_a_deployment_ended_at_comes_back() -> None:
    made = routes(
        ("deploy", {"v1": 100}, None), ("deploy", {"v2": 100}, 1), ("undo", {"v1": 100}, None)
    )
    assert number(way_back(made, deployment("done"))) == 2


def test_an_undone_canary_stays_undone() -> None:
    assert way_back(canary(("undo", {"v1": 100}, None)), deployment("undone")) is None


@pytest.mark.parametrize("state", ["superseded", "undone", "failed", "running"])
def test_sharing_by_hand_in_a_canary_goes_back_to_where_the_canary_began(
    state: DeploymentState,
) -> None:
    made = canary(("set", {"v2": 100}, 2))
    assert number(way_back(made, deployment(state))) == 1


def test_sharing_by_hand_in_a_canary_as_it_was_before_the_canary_stays() -> None:
    assert way_back(canary(("set", {"v1": 100}, 2)), deployment("superseded")) is None


def test_a_first_deployment_that_did_not_get_through_is_not_gone_back_to() -> None:
    made = routes(("deploy", {"v1": 100}, None), ("set", {"v2": 100}, 1))
    assert way_back(made, deployment("superseded")) is None


def test_a_model_that_was_taken_out_of_service_stays_so() -> None:
    made = routes(("deploy", {"v1": 100}, None), ("undo", {}, None))
    assert way_back(made, None) is None


def test_before_the_first_route_there_is_nothing_to_go_back_to() -> None:
    assert way_back(routes(("set", {"v1": 100}, None)), None) is None


def test_only_servers_that_followed_the_route_before_are_lost_by_the_next() -> None:
    late = [Server(id=name, url=name, processes=1) for name in ("had", "had not")]
    assert [server.id for server in lost(late, {"had", "another"})] == ["had"]


def test_a_step_of_a_superseded_canary_is_told_from_where_its_successor_began() -> None:
    began, step = canary()
    assert is_midway(step, began.number)
    assert not is_midway(began, began.number)
    assert not is_midway(began, None)  # there is nothing to go back to
    assert not is_midway(None, None)
