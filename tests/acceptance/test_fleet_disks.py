"""A disk that is full, of the database's server, of a worker's machine or of the artefact store.

Nobody starts anything again: what cannot be written is said, and is written once there is room.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from tests.support.disks import small_disk
from tests.support.fleet import Fleet, alone, once_each, write_spec
from tests.support.postgres import PostgresServer
from tests.support.waiting import wait_until

MANY = ("search.trials=300", "search.over[0].params.min_samples_leaf.high=10000")


def test_a_full_disk_of_the_database_server_is_waited_out(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with small_disk("250m") as disk:
        server = PostgresServer(within=disk.folder, fsync="off", max_wal_size="48MB")
        fleet = Fleet(tmp_path, server.url)
        sets = [word for change in MANY for word in ("--set", change)]
        write_spec(tmp_path, seconds=0.001)  # much is written
        try:
            fleet.start("c1", "controller")
            fleet.start("w1", "worker", "--name", "w1")
            run = fleet.done("submit", "forest.yaml", *sets).strip()
            with open_ledger(server.url) as ledger:
                study = ledger.runs.get(run).study
                wait_until(lambda: ledger.studies.counts(study).done >= 20)
                disk.fill()
                wait_until(lambda: "disk is full" in fleet.logs())
                disk.make_room()
                fleet.done("watch", run, "--json")
                assert once_each(ledger, study)
            wanted = alone(tmp_path_factory.mktemp("alone"), *MANY)
            assert fleet.trials() == wanted
            fleet.end()
        finally:
            fleet.close()
            server.close()


def test_a_worker_whose_disk_is_full_spoils_no_trial(fleet: Fleet, undisturbed: list[Any]) -> None:
    """Neither its copies of artefacts nor its log have room; it goes on when they do."""
    fleet.more = {"FAIRLEAD_ARTIFACTS": f"local://{fleet.folder}/artifacts"}
    with small_disk("2m") as disk, open_ledger(fleet.url) as ledger:
        (fleet.folder / "w1").symlink_to(disk.folder)
        (fleet.folder / "w1.log").symlink_to(disk.folder / "log")
        (disk.folder / "log").touch()
        disk.fill()
        fleet.start("c1", "controller")
        fleet.start("w1", "worker", "--name", "w1")
        run = fleet.done("submit", "forest.yaml").strip()
        study = ledger.runs.get(run).study
        wait_until(lambda: "released" in kinds(ledger, study))
        fleet.start("w2", "worker", "--name", "w2")
        wait_until(lambda: ledger.studies.counts(study).done >= 3)
        disk.make_room()
        fleet.done("watch", run, "--json")
        assert once_each(ledger, study)
        assert not {"faulted", "lost"} & kinds(ledger, study)
        assert fleet.trials() == undisturbed
        committed = {
            event.worker for event in ledger.studies.events(study) if event.kind == "committed"
        }
        assert committed == {"w1", "w2"}
        fleet.end()


def test_an_artefact_store_without_room_gets_the_model_when_it_has_some(
    fleet: Fleet, undisturbed: list[Any]
) -> None:
    with small_disk("4m") as disk, open_ledger(fleet.url) as ledger:
        fleet.more = {"FAIRLEAD_ARTIFACTS": disk.folder.as_uri()}
        fleet.start("c1", "controller")
        run = fleet.done("submit", "forest.yaml").strip()
        study = ledger.runs.get(run).study
        disk.fill()
        fleet.start("w1", "worker", "--name", "w1")
        wait_until(lambda: "released" in kinds(ledger, study))
        assert ledger.studies.counts(study).done == 24
        disk.make_room()
        fleet.done("watch", run, "--json")
        assert once_each(ledger, study)
        assert "faulted" not in kinds(ledger, study)
        assert fleet.trials() == undisturbed
        assert ledger.runs.get(run).version == 1
        fleet.end()


def kinds(ledger: Ledger, study: str) -> set[str]:
    return {event.kind for event in ledger.studies.events(study)}
