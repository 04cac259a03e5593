"""A page for Prometheus that is larger than what a socket holds."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from fairlead.deployment.crew import Crew
from fairlead.deployment.listening import bound
from fairlead.serving.plan import Counts, Plan
from fairlead.serving.start import ProcessSettings
from fairlead.serving.watch.counted import Counted
from fairlead.serving.watch.sums import Sums
from tests.integration.deployment.rig import DEADLINE

REVISIONS = 200
MODEL = "m" * 1_000  # the page has it in every line
IDLE = 30.0  # seconds that the crew waits for something to happen


def many() -> Sums:
    """What a server knows that has had many revisions."""
    sums = Sums()
    names = (f"v{number}" for number in range(REVISIONS))
    sums.add(1, Counts(counted=tuple((MODEL, name, Counted(codes={200: 1})) for name in names)))
    return sums


@contextmanager
def tended(sums: Sums, store: Path) -> Iterator[str]:
    """A crew of one process, at this address; it is only seen to when something happens."""
    settings = ProcessSettings(listen=(), channel=0, artifacts=str(store))
    over = threading.Event()
    with bound("127.0.0.1", 0, tokens=False) as address:
        crew = Crew(
            address, settings, count=1, sums=sums, told=lambda _: None, changed=lambda: None
        )
        crew.follow(Plan(serial=1))
        crew.tend(0.0)  # the process starts

        def tend() -> None:
            while not over.is_set():
                crew.tend(IDLE)

        tending = threading.Thread(target=tend)
        tending.start()
        try:
            yield address.url
        finally:
            over.set()
            crew.follow(Plan(serial=1))  # it wakes up
            tending.join()
            crew.close()


def test_a_page_of_many_megabytes_comes_in_time(tmp_path: Path) -> None:
    with tended(many(), tmp_path) as url:
        parts = urlsplit(url)
        client = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=DEADLINE)
        with closing(client):
            client.request("GET", "/metrics")
            reply = client.getresponse()
            content = reply.read()
    assert reply.status == 200, content
    assert len(content) > 5 << 20
    assert content.count(b"fairlead_requests_total{") == REVISIONS
