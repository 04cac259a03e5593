"""What a server keeps in the ledger of what its processes count during a step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fairlead.ledger.store import SqlLedger, open_ledger
from fairlead.records import Observed, Route, StepObservation
from fairlead.server.canary import CanaryMetrics
from fairlead.server.snapshot import ModelSnapshot
from fairlead.server.step_observer import StepObserver
from tests.contract.ledger_contract import version
from tests.contract.serving_contract import begin, revise


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqlLedger]:
    with open_ledger(tmp_path / "ledger.db") as ledger:
        for manifest in "ab":
            revise(ledger, ledger.versions.register(version(manifest=manifest)).number)
        yield ledger


class Server:
    """One whose processes have answered so many requests with v2 since it began."""

    def __init__(
        self, ledger: SqlLedger, name: str, *, requests: int = 0, bins: bool = False
    ) -> None:
        self.ledger, self.requests, self.time = ledger, requests, 100.0
        self.behind = 0.0  # seconds, of which its processes have not reported yet
        metrics = CanaryMetrics(
            lambda: {("prices", "v2"): self._counted(bins=bins)},
            lambda: self.time - self.behind,
        )
        self.observer = StepObserver(ledger, server=name, metrics=metrics, clock=lambda: self.time)

    def _counted(self, *, bins: bool) -> Observed:
        return Observed(requests=self.requests, bins=(self.requests,) if bins else ())

    def observe(
        self, *, after: float = 100.0, crashes: int = 0, edges: tuple[float, ...] = (0.5,)
    ) -> StepObservation | None:
        (deployment,) = self.ledger.deployments.running()
        traffic = {"v1": 90, "v2": 10}
        route = Route(
            model="prices",
            number=2,
            traffic=traffic,
            kind="deploy",
            why="",
            details="",
            deployment=deployment.number,
        )
        snapshot = ModelSnapshot(model="prices", deployment=deployment, route=route)
        return self.observer.observe(snapshot, after=after, edges=edges, crashes=crashes)


def kept(ledger: SqlLedger) -> dict[str, int]:
    (deployment,) = ledger.deployments.running()
    found = ledger.deployments.observations(deployment)
    return {one.server: one.revisions["v2"].requests for one in found}


def step(ledger: SqlLedger, number: int) -> None:
    (deployment,) = ledger.deployments.running()
    ledger.deployments.advance(replace(deployment, step=number))


def test_each_server_keeps_what_it_saw_since_the_step_and_not_what_it_saw_before(
    ledger: SqlLedger,
) -> None:
    begin(ledger)
    step(ledger, 0)
    old, new = Server(ledger, "old", requests=1000), Server(ledger, "new")
    for server in (old, new):
        assert server.observe()
        server.requests += 7
        server.time += 1.0
        assert server.observe()
    assert kept(ledger) == {"old": 7, "new": 7}


def test_with_the_next_step_every_server_counts_from_nothing(ledger: SqlLedger) -> None:
    begin(ledger)
    step(ledger, 0)
    server = Server(ledger, "one")
    server.observe()
    server.requests, server.time = 7, 101.0
    server.observe()
    step(ledger, 1)
    assert kept(ledger) == {}
    server.observe(after=101.0)
    assert kept(ledger) == {"one": 0}


def test_a_server_that_is_started_anew_takes_nothing_away(ledger: SqlLedger) -> None:
    begin(ledger)
    step(ledger, 0)
    killed = Server(ledger, "killed")
    killed.observe()
    killed.requests, killed.time = 30, 101.0
    killed.observe()
    again = Server(ledger, "again")
    again.observe()
    assert kept(ledger) == {"again": 0, "killed": 30}


def test_it_is_written_once_a_second_and_at_the_end(ledger: SqlLedger) -> None:
    begin(ledger)
    step(ledger, 0)
    server = Server(ledger, "one")
    server.observe()
    server.requests, server.time = 5, 100.5
    observation = server.observe()
    assert observation
    assert (observation.revisions["v2"].requests, observation.seconds) == (5, 0.5)
    assert kept(ledger) == {"one": 0}
    server.time = 101.0
    server.observe()
    assert kept(ledger) == {"one": 5}
    server.requests = 9
    server.observer.finish()
    assert kept(ledger) == {"one": 9}


def test_nothing_is_observed_before_all_that_came_before_the_step_is_known(
    ledger: SqlLedger,
) -> None:
    begin(ledger)
    step(ledger, 0)
    server = Server(ledger, "one", requests=3)
    server.behind = 1.0
    assert server.observe() is None
    assert kept(ledger) == {}
    server.time, server.requests = 101.0, 5
    assert server.observe()
    assert kept(ledger) == {"one": 0}


def test_crashes_of_processes_are_counted_from_the_step_on(ledger: SqlLedger) -> None:
    begin(ledger)
    step(ledger, 0)
    server = Server(ledger, "one")
    first, second = (server.observe(crashes=crashes) for crashes in (4, 6))
    assert first
    assert second
    assert (first.crashes, second.crashes) == (0, 2)


def test_a_server_that_ends_after_the_deployment_writes_nothing(ledger: SqlLedger) -> None:
    deployment = begin(ledger)
    step(ledger, 0)
    server = Server(ledger, "one")
    server.observe()
    ended = replace(deployment, step=0, state="undone")
    ledger.deployments.advance(ended)
    server.observer.finish()
    assert ledger.deployments.observations(ended) == []


def test_a_server_that_takes_the_deployment_over_keeps_what_it_has_counted(
    ledger: SqlLedger,
) -> None:
    begin(ledger)
    step(ledger, 0)
    server = Server(ledger, "one")
    server.observe(crashes=1)
    server.requests, server.time = 7, 107.0
    server.observe(crashes=2)
    server.requests, server.time = 9, 108.0  # two of its own smoke test
    taken = server.observe(after=108.0, crashes=2)
    assert taken
    assert (taken.revisions["v2"].requests, taken.seconds, taken.crashes) == (7, 7.0, 1)
    server.requests, server.time = 12, 109.0
    server.observe(after=108.0, crashes=2)
    assert kept(ledger) == {"one": 10}
    server.requests = 13
    server.observer.finish()
    assert kept(ledger) == {"one": 11}


def test_predictions_that_were_counted_over_other_edges_before_are_left_out(
    ledger: SqlLedger,
) -> None:
    begin(ledger)
    step(ledger, 0)
    server = Server(ledger, "one", bins=True)
    server.observe(edges=(0.7,))
    server.requests, server.time = 5, 101.0
    server.observe(edges=(0.7,))
    server.observe(after=101.0)
    server.requests, server.time = 8, 102.0
    found = server.observe(after=101.0)
    assert found
    assert found.revisions["v2"] == Observed(requests=8, bins=(3,))
