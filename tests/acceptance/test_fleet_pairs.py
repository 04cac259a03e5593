"""Two of each at once, and machines whose clocks are an hour apart: the same study comes out."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from fairlead.ledger.store import open_ledger
from tests.integration.clock import Clock
from tests.support.fleet import Fleet, once_each, write_spec
from tests.support.waiting import wait_until


def test_of_two_controllers_and_two_autoscalers_the_others_go_on(
    fleet: Fleet, undisturbed: list[Any]
) -> None:
    """Each pair shares the work of one; whoever holds it is killed."""
    write_spec(fleet.folder, seconds=0.3)
    with open_ledger(fleet.url) as ledger:
        for name in ("c1", "c2"):
            fleet.start(name, "controller")
        quick = ("autoscale", "--max", "2", "--within", "1", "--cooldown", "1")
        fleet.start("a1", *quick)
        wait_until(lambda: [one.holder for one in ledger.autoscaling.all()])
        fleet.start("a2", *quick)
        run = fleet.done("submit", "forest.yaml").strip()
        study = ledger.runs.get(run).study
        wait_until(lambda: ledger.studies.counts(study).done >= 3)
        assert len({one.worker for one in ledger.tasks.running()}) <= 2
        (first,) = (one.holder for one in ledger.autoscaling.all())
        fleet.kill("a1")
        carrier = wait_until(lambda: ledger.runs.get(run).holder)
        fleet.kill("c1" if str(fleet.processes["c1"].pid) in carrier else "c2")
        fleet.done("watch", run, "--json")
        wait_until(lambda: [one.holder for one in ledger.autoscaling.all()] != [first])
        assert once_each(ledger, study)
        assert len(ledger.versions.all("forest")) == 1
        assert fleet.trials() == undisturbed
    fleet.end()


def test_machines_whose_clocks_are_an_hour_apart_make_the_same_study(
    fleet: Fleet, undisturbed: list[Any], tmp_path: Path
) -> None:
    """Leases are the ledger's: only that of a dead worker ends, and in time."""
    fast, slow = (clock(tmp_path / name, hours) for name, hours in (("fast", 1), ("slow", -1)))
    fleet.start("c1", "controller", **fast.environment)
    fleet.start("w1", "worker", "--name", "w1", **slow.environment)
    fleet.start("w2", "worker", "--name", "w2", **fast.environment)
    run = fleet.done("submit", "forest.yaml").strip()
    with open_ledger(fleet.url) as ledger:
        study = ledger.runs.get(run).study
        wait_until(lambda: any(one.worker == "w1" for one in ledger.tasks.running()))
        wait_until(lambda: any(one.worker == "w2" for one in ledger.tasks.running()))
        assert {one.name for one in ledger.workers.alive()} == {"w1", "w2"}
        wait_until(lambda: any(one.worker == "w1" for one in ledger.tasks.running()))
        fleet.kill("w1")
        killed = ledger.now()
        fleet.done("watch", run, "--json")
        events = ledger.studies.events(study)
        assert once_each(ledger, study)
        lost = [event.at for event in events if event.kind == "lost"]
        assert all(killed <= at < killed + 60 for at in lost)  # not an hour
        assert len(lost) <= 1
        assert max(event.at for event in events) - events[0].at < 600  # all by one clock
        assert fleet.trials() == undisturbed
    fleet.end()


def clock(folder: Path, hours: int) -> Clock:
    folder.mkdir()
    made = Clock(folder)
    made.step(timedelta(hours=hours))
    return made
