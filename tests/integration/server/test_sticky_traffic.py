"""Clients with a sticky header while the traffic moves from one revision to another."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from urllib.parse import urlsplit

from fairlead.records import Deployment
from fairlead.rollout.routes import undo
from fairlead.rollout.start import start_deployment
from fairlead.spec.document import Judge, Serve
from tests.integration.server.rig import DEADLINE, MODEL, Home, serving
from tests.support.waiting import wait_until

CLIENTS = 50
OLD, NEW = "v1-2", "v2"  # v1 has settings that are not sticky
BODY = b'{"rows": [{"number": 5.0}]}'
STICKY = Serve(sticky="header:X-User", judge=Judge(hold=3.0, requests=20, slower=1000.0))


@dataclass(kw_only=True)
class Users:
    """Who was answered by which revision, one answer after the other."""

    answers: dict[str, list[str]] = field(
        default_factory=lambda: {f"user-{number}": [] for number in range(CLIENTS)}
    )
    times: dict[str, list[float]] = field(
        default_factory=lambda: {f"user-{number}": [] for number in range(CLIENTS)}
    )
    broken: list[str] = field(default_factory=list)

    def now(self) -> Counter[str]:
        """How many are with each revision."""
        return Counter(answers[-1] for answers in self.answers.values() if answers)

    def ways(self, changing: Sequence[tuple[float, float]]) -> set[tuple[str, ...]]:
        """The revisions that clients were with, in order.

        Args:
            changing: From when to when a route was in force that not every process followed yet:
                two connections of a client may meet one that does and one that does not.
        """
        return {
            tuple(name for name, _ in groupby(self._outside(user, changing)))
            for user in self.answers
        }

    def _outside(self, user: str, changing: Sequence[tuple[float, float]]) -> Iterator[str]:
        for at, name in zip(self.times[user], self.answers[user], strict=True):
            if not any(began <= at <= ended for began, ended in changing):
                yield name


@contextlib.contextmanager
def asking(url: str) -> Iterator[Users]:
    """Each over a connection of its own, and afresh every few requests: any process may answer."""
    users, over = Users(), threading.Event()
    threads = [
        threading.Thread(target=_ask, args=(url, name, users, over)) for name in users.answers
    ]
    for thread in threads:
        thread.start()
    try:
        yield users
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _ask(url: str, name: str, users: Users, over: threading.Event) -> None:
    parts = urlsplit(url)
    while not over.is_set():
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=DEADLINE)
        with contextlib.closing(connection):
            for _ in range(5):
                if over.wait(0.1):
                    return
                connection.request("POST", f"/models/{MODEL}:predict", BODY, {"X-User": name})
                answer = connection.getresponse()
                content = answer.read()
                if answer.status != 200:
                    users.broken.append(f"{answer.status} {content!r}")
                users.times[name].append(time.time())
                users.answers[name].append(answer.headers["Fairlead-Revision"])


@contextlib.contextmanager
def watched(home: Home) -> Iterator[list[tuple[float, float]]]:
    """When each route was put in force, and when every process followed it."""
    changing: list[tuple[float, float]] = []
    seen: set[int] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            route = home.ledger.routes.current(MODEL)
            if route and route.number not in seen and home.followed():
                seen.add(route.number)
                changing.append((route.at, time.time()))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield changing
    finally:
        over.set()
        thread.join()


def canary(home: Home, version: int, *steps: int) -> Deployment:
    return start_deployment(home.stores, MODEL, version=version, steps=steps, serve=STICKY)


def shared(home: Home) -> int | None:
    """Percent of the new revision, once every process follows."""
    return home.route().traffic.get(NEW) if home.followed() else None


def settled(users: Users) -> Counter[str]:
    """How many are with each revision, once everybody has been answered twice more."""
    before = {name: len(answers) for name, answers in users.answers.items()}
    wait_until(lambda: all(len(users.answers[name]) > before[name] + 1 for name in before))
    return users.now()


def test_nobody_moves_back_and_forth_while_a_canary_grows_and_an_undo_brings_all_back(
    home: Home,
) -> None:
    version = home.good()
    shares = {}
    with serving(home) as served:
        home.ended(canary(home, 1, 100))
        wait_until(home.followed)
        with asking(served.url) as users, watched(home) as changing:
            wait_until(lambda: settled(users) == {OLD: CLIENTS})
            deployment = canary(home, version, 10, 50, 100)
            for percent in (10, 50):
                wait_until(lambda: shared(home) == percent)  # noqa: B023 - is used at once
                shares[percent] = settled(users)[NEW] / CLIENTS
            assert home.ended(deployment).state == "done"
            wait_until(lambda: settled(users) == {NEW: CLIENTS})
            undo(home.stores, MODEL, "enough")
            wait_until(lambda: settled(users) == {OLD: CLIENTS})
            wait_until(lambda: changing[-1][0] == home.route().at)
            assert settled(users) == {OLD: CLIENTS}  # with answers after the last change
    assert not users.broken
    assert users.ways(changing) == {(OLD, NEW, OLD)}
    assert abs(shares[10] - 0.1) < 0.15
    assert abs(shares[50] - 0.5) < 0.25
