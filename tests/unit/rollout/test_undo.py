"""Where an undo goes back to, for lists of routes as people make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fairlead.records import Route, RouteKind
from fairlead.rollout.undo import goal


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
        """As changes.py does it; False where there is nothing to go back to."""
        found = goal(self.all)
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
    assert goal([]) is None
