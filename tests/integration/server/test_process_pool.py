"""A pool of real processes: a page larger than a socket's buffer, and which processes hang."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from fairlead.server.events import ServerEvent
from fairlead.server.listening import bind
from fairlead.server.process_pool import ProcessPool
from fairlead.serving.plan import Plan
from fairlead.serving.settings import ProcessSettings
from fairlead.serving.telemetry.counters import Aggregate, Counts, RevisionCounters
from tests.integration.server.rig import DEADLINE

REVISIONS = 200
MODEL = "m" * 1_000  # the page has it in every line
IDLE = 30.0  # seconds that the pool waits for something to happen


def many() -> Aggregate:
    """What a server knows that has had many revisions."""
    sums = Aggregate()
    names = (f"v{number}" for number in range(REVISIONS))
    sums.add(
        1, Counts(counted=tuple((MODEL, name, RevisionCounters(codes={200: 1})) for name in names))
    )
    return sums


@contextmanager
def running(sums: Aggregate, store: Path) -> Iterator[str]:
    """A pool of one process, at this address; it is only seen to when something happens."""
    settings = ProcessSettings(listen=(), channel=0, artifacts=str(store))
    over = threading.Event()
    with bind("127.0.0.1", 0, tokens=False) as address:
        pool = ProcessPool(
            address, settings, count=1, sums=sums, on_event=lambda _: None, on_report=lambda: None
        )
        pool.apply(Plan(serial=1))
        pool.poll(0.0)  # the process starts

        def poll() -> None:
            while not over.is_set():
                pool.poll(IDLE)

        polling = threading.Thread(target=poll)
        polling.start()
        try:
            yield address.url
        finally:
            over.set()
            pool.apply(Plan(serial=1))  # it wakes up
            polling.join()
            pool.close()


def test_a_page_of_many_megabytes_comes_in_time(tmp_path: Path) -> None:
    with running(many(), tmp_path) as url:
        parts = urlsplit(url)
        client = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=DEADLINE)
        with closing(client):
            client.request("GET", "/metrics")
            reply = client.getresponse()
            content = reply.read()
    assert reply.status == 200, content
    assert len(content) > 5 << 20
    assert content.count(b"fairlead_requests_total{") == REVISIONS


class Clock:
    """Shows what the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def watched(
    clock: Clock, store: Path, told: list[ServerEvent]
) -> Iterator[tuple[ProcessPool, psutil.Process]]:
    """A pool of one process that has said that it lives."""
    settings = ProcessSettings(listen=(), channel=0, artifacts=str(store))
    sums = Aggregate()
    with bind("127.0.0.1", 0, tokens=False) as address:
        pool = ProcessPool(
            address,
            settings,
            count=1,
            sums=sums,
            on_event=told.append,
            on_report=lambda: None,
            clock=clock,
        )
        pool.apply(Plan(serial=1))
        try:
            until(lambda: sums.stats, pool)
            (number,) = sums.stats
            yield pool, psutil.Process(number)
        finally:
            pool.close()


def until(condition: Callable[[], object], pool: ProcessPool) -> None:
    """See to the pool until this is so."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        pool.poll(0.05)


def test_who_was_not_listened_to_is_not_called_silent(tmp_path: Path) -> None:
    told: list[ServerEvent] = []
    with watched(clock := Clock(), tmp_path, told) as (pool, process):
        process.suspend()  # what it would say is on its way
        clock.now += 60.0  # the supervisor was stopped, or the machine slept
        pool.poll(0.0)
        process.resume()
        clock.now += 1.0
        pool.poll(0.0)
        assert process.is_running()
    assert not told


def test_a_process_that_says_nothing_while_it_is_listened_to_is_replaced(tmp_path: Path) -> None:
    told: list[ServerEvent] = []
    with watched(clock := Clock(), tmp_path, told) as (pool, process):
        process.suspend()
        pool.poll(0.0)  # what it had said before
        for _ in range(20):
            clock.now += 1.0
            pool.poll(0.0)
        assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    assert any("hangs and is replaced" in str(news) for news in told)
