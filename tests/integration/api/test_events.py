"""The history as server-sent events: each line once, soon, and again from any line."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
from tests.contract.fits_contract import CHECKPOINT, claimed, progress
from tests.contract.ledger_contract import STUDY, done
from tests.integration.api.conftest import Home, Served
from tests.support.waiting import wait_until

from fairlead.formatting import plain
from fairlead.stores import Stores


@pytest.fixture
def stores(home: Home) -> Iterator[Stores]:
    with home.stores() as stores:
        yield stores


@pytest.fixture
def served(home: Home) -> Served:
    return home.serve("--no-controller")


@dataclass(kw_only=True)
class Following:
    """A client that follows a study in a thread, until its connection ends."""

    served: Served
    study: str = "sums"
    headers: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    fits: list[dict[str, Any]] = field(default_factory=list)
    at: list[float] = field(default_factory=list)

    def __enter__(self) -> Self:
        connection = http.client.HTTPConnection(urlsplit(self.served.url).netloc, timeout=60)
        connection.request("GET", f"/api/v1/events?study={self.study}", headers=self.headers)
        self._socket = connection.sock
        self._answer = connection.getresponse()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # the server has closed it
            self._socket.shutdown(socket.SHUT_RDWR)
        self.join()
        self._socket.close()

    @property
    def status(self) -> int:
        return self._answer.status

    def join(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _follow(self) -> None:
        event: dict[str, Any] = {}
        into = self.events
        with suppress(http.client.HTTPException, OSError):  # the connection ends somewhere
            while line := self._answer.readline():
                if line.startswith(b"data: "):
                    event = json.loads(line.removeprefix(b"data: "))
                elif line.startswith(b"event: "):
                    assert line == b"event: fit\n"
                    into = self.fits
                elif line.startswith(b"id: "):
                    assert event["id"] == int(line.removeprefix(b"id: "))
                elif event:
                    into.append(event)
                    if into is self.events:
                        self.at.append(time.time())
                    event, into = {}, self.events


def write(stores: Stores, many: int) -> None:
    study = stores.ledger.studies.get("sums").id
    for number in range(many):
        stores.ledger.studies.prioritize(study, number)


def test_the_history_comes_from_its_beginning_and_goes_on(stores: Stores, served: Served) -> None:
    study = stores.ledger.studies.get("sums").id
    before = len(stores.ledger.studies.events(study))
    with Following(served=served) as following:
        wait_until(lambda: len(following.events) == before)
        for number in range(5):
            stores.ledger.studies.prioritize(study, number)
            wait_until(lambda: len(following.events) == before + number + 1)  # noqa: B023 - at once
        known = stores.ledger.studies.events(study)
        stores.ledger.studies.pause(stores.ledger.studies.all()[-1].id)  # of another study
        write(stores, 1)
        wait_until(lambda: len(following.events) == before + 6)
    assert [event["kind"] for event in following.events[:-1]] == [each.kind for each in known]
    # Each was written when the one before had arrived: its own clock says how long it took.
    late = [
        at - event["at"]
        for at, event in zip(following.at[before:], following.events[before:], strict=True)
    ]
    assert sorted(late)[len(late) // 2] < 0.5


def test_who_comes_back_gets_each_line_once(stores: Stores, served: Served) -> None:
    write(stores, 30)
    seen: list[int] = []
    while len(seen) < 30:
        headers = {"Last-Event-ID": str(seen[-1])} if seen else {}
        with Following(served=served, headers=headers) as following:
            wait_until(lambda: len(following.events) >= 3)
            write(stores, 2)
            wait_until(lambda: len(following.events) >= 5)
        seen += [event["id"] for event in following.events[:5]]  # the connection broke here
    upto = stores.ledger.histories.last()
    study = stores.ledger.studies.get("sums").id
    lines = stores.ledger.histories.lines(after=0, upto=upto, limit=1000, study=study)
    assert seen == [line.id for line in lines][: len(seen)]


def test_the_last_report_of_each_fit_that_goes_on_comes_beside_the_history(
    stores: Stores, served: Served
) -> None:
    claim = claimed(stores.ledger)
    stores.ledger.fits.report(claim, progress(step=1))
    with Following(served=served, study=STUDY.id) as following:
        wait_until(lambda: len(following.fits) == 1)
        stores.ledger.fits.report(claim, progress(step=2, checkpoint=CHECKPOINT))
        stores.ledger.fits.note(claim, "rank 1 ended 3 times")
        wait_until(lambda: len(following.fits) == 2)
        stores.ledger.tasks.commit(claim, [done(0)])
        wait_until(lambda: following.events[-1]["kind"] == "committed")
        wait_until(lambda: following.events[-2]["kind"] == "noted")
    reports = stores.ledger.fits.reports(STUDY.id)
    assert following.fits == [plain(report) for report in reports]
    assert following.fits[-1]["progress"]["rows_per_second"] == 1234.5


def test_many_lines_at_once_reach_every_follower_once_and_in_order(
    stores: Stores, served: Served
) -> None:
    with Following(served=served) as one, Following(served=served) as other:
        write(stores, 700)
        last = stores.ledger.histories.last()
        for each in (one, other):
            wait_until(lambda: each.events and each.events[-1]["id"] == last)  # noqa: B023 - at once
    study = stores.ledger.studies.get("sums").id
    lines = stores.ledger.histories.lines(after=0, upto=last, limit=5000, study=study)
    wanted = [line.id for line in lines]
    assert [event["id"] for event in one.events] == wanted
    assert [event["id"] for event in other.events] == wanted


def test_a_revoked_token_follows_no_longer(home: Home, stores: Stores) -> None:
    token = home.token("viewer")
    home.token("admin")
    served = home.serve("--no-controller")
    with Following(served=served, headers={"Authorization": f"Bearer {token}"}) as following:
        wait_until(lambda: following.events)
        home.done("token", "remove", "the-viewer")
        following.join()
        count = len(following.events)
        write(stores, 1)
    assert len(following.events) == count


def test_a_server_that_stops_ends_them(served: Served) -> None:
    with Following(served=served) as following:
        wait_until(lambda: following.events)
        assert served.stop() == 0
        following.join()


def test_there_are_so_many_followers_and_no_more(served: Served) -> None:
    with ExitStack() as stack:
        first = Following(served=served)
        with first:
            for _ in range(63):
                stack.enter_context(Following(served=served))
            with served.client() as client:
                refused = client.get("/api/v1/events", params={"study": "sums"})
            assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")

        def another() -> bool:
            with Following(served=served) as following:
                return following.status == 200

        wait_until(another)
