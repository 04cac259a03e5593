"""Several machines, the link of one of which is cut without a word and mended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from tests.support.fleet import LEASE, Fleet, alone, once_each, write_spec
from tests.support.machines import Machine, Network, network
from tests.support.postgres import PostgresServer
from tests.support.waiting import wait_until

MANY = (
    "search.trials=400",
    "search.folds=2",
    "search.over[0].params.min_samples_leaf.high=10000",
)


@pytest.fixture
def net() -> Iterator[Network]:
    with network() as made:
        yield made


def test_a_link_that_is_cut_in_the_middle_of_a_write_and_mended_costs_no_trial(
    net: Network, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Who is cut off hears of nothing, for longer than its lease; the others go on before."""
    base, near, far = (net.machine(name) for name in ("base", "near", "far"))
    server = PostgresServer(machine=base, fsync="off")
    fleet = Fleet(tmp_path, server.url)
    url = f"postgresql://fairlead@{base.address}:{server.port}/postgres"
    write_spec(tmp_path, seconds=0.05)  # for one worker alone 40 s
    try:
        sets = [word for change in MANY for word in ("--set", change)]
        run = fleet.done("submit", "forest.yaml", *sets).strip()
        fleet.start("c1", "controller", machine=near, FAIRLEAD_LEDGER=url)
        fleet.start("w1", "worker", "--name", "w1", machine=near, FAIRLEAD_LEDGER=url)
        fleet.start("w2", "worker", "--name", "w2", machine=far, FAIRLEAD_LEDGER=url)
        with open_ledger(server.url) as ledger:
            study = ledger.runs.get(run).study
            wait_until(lambda: all(committed(ledger, study, name) for name in ("w1", "w2")))
            cut_in_a_write(net, far, server)
            before, cut = len(committed(ledger, study, "w1")), ledger.now()
            wait_until(lambda: len(committed(ledger, study, "w1")) > before + 1)
            assert ledger.now() - cut < 10  # what it holds is let go of, once its time is over
            wait_until(lambda: ledger.now() > cut + 2 * float(LEASE))
            net.mend(far)
            mended = ledger.now()
            wait_until(lambda: committed(ledger, study, "w2")[-1] > mended)
            fleet.done("watch", run, "--json")
            assert once_each(ledger, study)
        assert fleet.trials() == alone(tmp_path_factory.mktemp("alone"), *MANY)
        fleet.end()
    finally:
        fleet.close()
        server.close()


def committed(ledger: Ledger, study: str, worker: str) -> list[float]:
    """When this worker committed what it did."""
    events = ledger.studies.events(study)
    return [one.at for one in events if (one.kind, one.worker) == ("committed", worker)]


def cut_in_a_write(net: Network, machine: Machine, server: PostgresServer) -> None:
    """Cut its link while a session of it is in the middle of a write, which goes on after that."""
    with (
        psycopg.connect(server.url) as holding,
        psycopg.connect(server.url, autocommit=True) as seen,
    ):
        holding.execute("LOCK TABLE events IN SHARE MODE")  # a commit adds one, at its end
        wait_until(lambda: in_a_write(seen, machine))
        net.cut(machine)


def in_a_write(connection: psycopg.Connection[Any], machine: Machine) -> bool:
    found = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE client_addr = %s "
        "AND wait_event_type = 'Lock' AND backend_xid IS NOT NULL",
        [machine.address],
    ).fetchone()
    return found != (0,)
