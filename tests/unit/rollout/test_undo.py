"""Where an undo goes back to, for lists of routes as people make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from fairlead.records import Deployment, DeploymentState, Route, RouteKind, Server
from fairlead.rollout.undo import is_superseded_step, revert_target, servers_lost, undo_target


class Routes:
    """A model's list of routes, each made as the commands make them."""

    def __init__(self) -> None:
        self.all: list[Route] = []

    def deploy(self, name: str, *steps: int) -> None:
        """A deployment that goes through these steps and stays at the last one."""
        base = self.all[-1].number if self.all else None
        main = max(self.traffic, key=self.traffic.__getitem__) if self.all else ""
        for percent in steps:
            rest = {main: 100 - percent} if percent < 100 else {}
            self._append("deploy", {**rest, name: percent}, base)

    def share(self, **traffic: int) -> None:
        self._append("set", traffic, self.all[-1].number)

    def undeploy(self) -> None:
        self._append("undeploy", {}, self.all[-1].number)

    def undo(self) -> bool:
        """As routes.py does it; False where there is nothing to go back to."""
        found = undo_target(self.all[-1], lambda number: self.all[number - 1])
        if found is not None:
            self.all.append(replace(found, number=len(self.all) + 1, kind="undo"))
        return found is not None

    @property
    def traffic(self) -> Mapping[str, int]:
        return self.all[-1].traffic

    def _append(self, kind: RouteKind, traffic: Mapping[str, int], before: int | None) -> None:
        number = len(self.all) + 1
        self.all.append(
            Route(
                model="m",
                number=number,
                traffic=traffic,
                kind=kind,
                why="",
                details="",
                before=before,
            )
        )


def test_each_undo_goes_one_change_back_until_there_is_none() -> None:
    routes = Routes()
    routes.deploy("v1", 100)
    routes.deploy("v2", 10, 50, 100)
    routes.share(v1=40, v2=60)
    assert routes.undo()
    assert routes.traffic == {"v2": 100}
    assert routes.undo()
    assert routes.traffic == {"v1": 100}
    assert not routes.undo()


def test_an_undo_that_would_change_nothing_goes_further_back() -> None:
    routes = Routes()
    routes.deploy("v1", 100)
    routes.deploy("v2", 100)
    routes.share(v1=50, v2=50)
    routes.share(v2=100)
    routes.share(v2=100)
    assert routes.undo()
    assert routes.traffic == {"v1": 50, "v2": 50}


def test_routes_that_all_share_the_traffic_alike_leave_nothing_to_undo() -> None:
    routes = Routes()
    routes.deploy("v1", 100)
    routes.share(v1=100)
    routes.deploy("v1", 100)
    assert not routes.undo()


def test_sharing_by_hand_during_a_canary_is_undone_to_what_was_before_the_canary() -> None:
    routes = Routes()
    routes.deploy("v1", 100)
    routes.deploy("v2", 10, 50)
    routes.share(v1=70, v2=30)
    assert routes.undo()
    assert routes.traffic == {"v1": 100}


def test_a_canary_is_undone_with_all_of_its_steps() -> None:
    routes = Routes()
    routes.deploy("v1", 100)
    routes.deploy("v2", 10, 50)
    assert routes.undo()
    assert routes.traffic == {"v1": 100}


def test_what_was_undone_does_not_come_back_by_another_undo() -> None:
    routes = Routes()
    routes.deploy("v1", 100)
    routes.deploy("v2", 100)
    assert routes.undo()
    routes.deploy("v3", 100)
    assert routes.undo()
    assert routes.traffic == {"v1": 100}
    assert not routes.undo()


def test_a_model_comes_back_into_service_with_the_traffic_that_it_had() -> None:
    routes = Routes()
    routes.deploy("v1", 100)
    routes.deploy("v2", 10, 50)
    routes.undeploy()
    assert routes.undo()
    assert routes.traffic == {"v1": 100}
    assert not routes.undo()


def test_what_was_deployed_while_nothing_was_in_service_is_undone_to_nothing() -> None:
    routes = Routes()
    routes.deploy("v1", 100)
    routes.undeploy()
    routes.share(v2=100)
    assert routes.undo()
    assert routes.traffic == {}
    assert routes.undo()
    assert routes.traffic == {"v1": 100}


def test_before_the_first_route_there_is_none() -> None:
    (only,) = routes(("deploy", {"v1": 100}, None))
    assert undo_target(only, [].__getitem__) is None


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


def reverted(made: list[Route], deployment: Deployment | None) -> Route | None:
    return revert_target(made[-1], deployment, lambda number: made[number - 1])


def number(found: Route | None) -> int | None:
    return found.number if found else None


def test_a_route_by_hand_goes_back_to_the_one_before() -> None:
    made = routes(("deploy", {"v1": 100}, None), ("set", {"v2": 100}, 1), ("set", {"v1": 50}, 2))
    assert number(reverted(made, None)) == 2


def test_what_a_deployment_ended_at_comes_back() -> None:
    made = routes(
        ("deploy", {"v1": 100}, None), ("deploy", {"v2": 100}, 1), ("undo", {"v1": 100}, None)
    )
    assert number(reverted(made, deployment("done"))) == 2


def test_an_undone_canary_stays_undone() -> None:
    assert reverted(canary(("undo", {"v1": 100}, None)), deployment("undone")) is None


@pytest.mark.parametrize("state", ["superseded", "undone", "failed", "running"])
def test_sharing_by_hand_in_a_canary_goes_back_to_where_the_canary_began(
    state: DeploymentState,
) -> None:
    made = canary(("set", {"v2": 100}, 2))
    assert number(reverted(made, deployment(state))) == 1


def test_sharing_by_hand_in_a_canary_as_it_was_before_the_canary_stays() -> None:
    assert reverted(canary(("set", {"v1": 100}, 2)), deployment("superseded")) is None


def test_a_first_deployment_that_did_not_get_through_is_not_gone_back_to() -> None:
    made = routes(("deploy", {"v1": 100}, None), ("set", {"v2": 100}, 1))
    assert reverted(made, deployment("superseded")) is None


def test_a_model_that_was_taken_out_of_service_stays_so() -> None:
    made = routes(("deploy", {"v1": 100}, None), ("undo", {}, None))
    assert reverted(made, None) is None


def test_before_the_first_route_there_is_nothing_to_go_back_to() -> None:
    assert reverted(routes(("set", {"v1": 100}, None)), None) is None


def test_only_servers_that_followed_the_route_before_are_lost_by_the_next() -> None:
    late = [Server(id=name, url=name, processes=1) for name in ("had", "had not")]
    assert [server.id for server in servers_lost(late, {"had", "another"})] == ["had"]


def test_a_step_of_a_superseded_canary_is_told_from_where_its_successor_began() -> None:
    began, step = canary()
    assert is_superseded_step(step, began.number)
    assert not is_superseded_step(began, began.number)
    assert not is_superseded_step(began, None)  # there is nothing to go back to
    assert not is_superseded_step(None, None)
