"""Workers that know the URL of a server and a token, and no database and no folder of artefacts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fairlead.api_client import TOKEN
from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from fairlead.server.auth import Role, add_token, remove_token
from tests.support.faulty_proxy import FaultyProxy, answer_lost, cut_at_once
from tests.support.fleet import Fleet, once_each
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

_STORES = ("FAIRLEAD_LEDGER", "FAIRLEAD_ARTIFACTS")


class HttpFleet(Fleet):
    """A server whose ledger and artefacts are in its home, and programs that reach it alone."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        super().__init__(folder, f"http://127.0.0.1:{self.port}")
        self.tokens = folder / "server" / "tokens.json"
        self.more = {
            "FAIRLEAD_ARTIFACTS": "",
            TOKEN: self.token("client", "submitter"),
        }
        self.serve()

    def token(self, name: str, role: Role) -> str:
        return add_token(self.tokens, name, role=role)

    def serve(self) -> None:
        """Start the server, or start it again."""
        own = dict.fromkeys(_STORES, "")
        self.start("server", "server", "--port", str(self.port), **own)
        said = self.folder / "server.log"
        count = said.read_text().count("control API at") + 1

        def is_up() -> bool:
            assert self.processes["server"].poll() is None, said.read_text()
            return said.read_text().count("control API at") >= count

        wait_until(is_up)

    def work(self, name: str, url: str = "") -> None:
        token = self.token(name, "worker")
        self.start(
            name, "worker", "--name", name, FAIRLEAD_LEDGER=url or self.url, **{TOKEN: token}
        )

    def end(self) -> None:
        """The workers first: they say goodbye to the server."""
        server = self.processes.pop("server")
        super().end()
        self.processes = {"server": server}
        super().end()

    def ledger(self) -> Ledger:
        return open_ledger(self.folder / "server" / "ledger.db")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[HttpFleet]:
    fleet = HttpFleet(tmp_path)
    yield fleet
    fleet.close()


def test_nothing_is_lost_where_workers_servers_and_connections_are(
    fleet: HttpFleet, undisturbed: list[Any]
) -> None:
    with FaultyProxy(fleet.url).running() as proxy:
        fleet.work("w1")
        fleet.work("w2", proxy.url)
        run = fleet.done("submit", "forest.yaml").strip()
        (fleet.folder / "forest.yaml").unlink()
        (fleet.folder / "slow.py").unlink()
        with fleet.ledger() as ledger:
            study = ledger.runs.get(run).study
            wait_until(lambda: ledger.studies.counts(study).done >= 3)
            lost = proxy.plan(answer_lost, method="POST", times=8)
            cut = proxy.plan(cut_at_once, method="POST", times=3)
            wait_until(lambda: ledger.studies.counts(study).done >= 8)
            fleet.kill("server")
            fleet.serve()
            wait_until(lambda: ledger.studies.counts(study).done >= 12)
            wait_until(lambda: any(one.worker == "w1" for one in ledger.tasks.running()))
            fleet.kill("w1")
            outcome = json.loads(fleet.done("watch", run, "--json"))
            assert outcome["study"] == study
            assert once_each(ledger, study)
            assert {event.worker for event in ledger.studies.events(study)} >= {"w1", "w2"}
            assert (lost.met, cut.met) == (8, 3)
        assert fleet.trials() == undisturbed
        fleet.end()


def test_a_worker_whose_token_is_revoked_ends_with_a_line(fleet: HttpFleet) -> None:
    fleet.work("w1")
    fleet.done("submit", "forest.yaml")
    with fleet.ledger() as ledger:
        wait_until(ledger.tasks.running)
        remove_token(fleet.tokens, "w1")
        worker = fleet.processes.pop("w1")
        assert worker.wait(60) == 2
        last = (fleet.folder / "w1.log").read_text().splitlines()[-1]
        assert f"it does not accept the token in ${TOKEN}" in last
        wait_until(
            lambda: (
                not ledger.tasks.running() or ledger.tasks.running()[0].lease_ends < ledger.now()
            )
        )
        fleet.work("w2")  # has what the other had, once its lease has ended
        wait_until(lambda: [one.worker for one in ledger.tasks.running()] == ["w2"])
