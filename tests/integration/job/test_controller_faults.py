"""What a controller cannot work off ends nothing else that it carries."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from fairlead.ledger.store import open_ledger
from fairlead.records import Schedule
from tests.integration.job.specs import RIDGE
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.integration.job.conftest import Place


def test_a_row_that_cannot_be_worked_off_is_said_and_the_others_go_on(place: Place) -> None:
    place.write("ridge.yaml", RIDGE)
    place.run("submit", "ridge.yaml")
    with open_ledger(place.home / "ledger.db") as ledger:
        ledger.schedules.put(Schedule(model="broken", every=3600.0, folder=str(place.folder)))
    with closing(sqlite3.connect(place.home / "ledger.db")) as database, database:
        database.execute("UPDATE schedules SET every = 0, due = 0")
    process = place.start("controller", "--workers", "1")
    assert place.json("watch", "ridge")["version"] == 1
    log = place.folder / "output.log"
    wait_until(lambda: "schedule of broken: ZeroDivisionError" in log.read_text())
    said = log.read_text()
    assert "Traceback" in said
    assert "in following" in said
    assert process.poll() is None
