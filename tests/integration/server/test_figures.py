"""The page for Prometheus of a real server: sums in its memory, whoever is asked."""

from __future__ import annotations

import contextlib
import http.client
import math
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.server.rig import DEADLINE, Home, Served, load, serving
from tests.support.waiting import wait_until

ASKED = 40


@dataclass(frozen=True, kw_only=True)
class Scraped:
    """How /metrics was answered."""

    status: int
    process: str  # its own name for itself, in the ids of its answers
    text: str

    @property
    def figures(self) -> Mapping[tuple[str, frozenset[str]], float]:
        """By name and label values."""
        return {
            (sample.name, frozenset(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
        }

    @property
    def refused(self) -> float:
        """Requests that were; golden rows never are."""
        return self.figures.get(("fairlead_requests_total", frozenset({"sums", "v1", "400"})), 0)


def scrape(served: Served) -> Scraped:
    """Ask for the page over a connection of its own, which any process may take."""
    parts = urlsplit(served.url)
    client = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=DEADLINE)
    with contextlib.closing(client):
        client.request("GET", "/metrics")
        reply = client.getresponse()
        process, _, _ = reply.headers["X-Request-Id"].partition("-")
        return Scraped(status=reply.status, process=process, text=reply.read().decode())


def refused(served: Served) -> None:
    """Requests that are refused, and counted as such."""
    assert {served.ask(math.nan)[0] for _ in range(ASKED)} == {400}
    wait_until(lambda: scrape(served).refused == ASKED)


def test_every_process_tells_what_all_have_counted(home: Home) -> None:
    with serving(home) as served:
        refused(served)
        tellers = set()

        def told_by_both() -> bool:
            scraped = scrape(served)
            assert scraped.refused == ASKED
            tellers.add(scraped.process)
            return len(tellers) == 2

        wait_until(told_by_both)


def test_what_a_killed_process_counted_stays_and_what_it_was_does_not(home: Home) -> None:
    with serving(home) as served:
        refused(served)
        victim = served.processes()[0]
        mine = ("process_open_fds", frozenset({str(victim.pid)}))
        wait_until(lambda: mine in scrape(served).figures)
        victim.kill()
        wait_until(lambda: served.has_replaced(victim))
        scraped = scrape(served)
        assert mine not in scraped.figures
        assert scraped.refused == ASKED


def test_while_the_supervisor_is_stopped_the_page_says_so_and_predictions_go_on(
    home: Home,
) -> None:
    with serving(home) as served:
        served.child.send_signal(signal.SIGSTOP)
        with load(served.url) as clients:
            began = time.monotonic()
            scraped = scrape(served)
            took = time.monotonic() - began
        served.child.send_signal(signal.SIGCONT)
        assert scraped.status == 503
        assert "the supervisor" in scraped.text
        assert took < 3
        assert clients.total > 50
        assert not clients.failed
        assert not clients.broken
        total = ("fairlead_requests_total", frozenset({"sums", "v1", "200"}))
        wait_until(lambda: scrape(served).figures.get(total, 0) >= clients.total)


def test_a_server_has_no_file_outside_of_its_home_even_when_it_is_killed(
    home: Home, tmp_path: Path
) -> None:
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir(mode=0o500)
    with serving(home, TMPDIR=str(nowhere)) as served:
        refused(served)
        family = [psutil.Process(served.child.pid), *served.children()]
        files = {file.path for one in family for file in one.open_files()}
        mapped = {part.path for one in family for part in one.memory_maps()}
        assert not [path for path in files | mapped if path.startswith(str(nowhere))]
        served.child.kill()
        _, alive = psutil.wait_procs(family[1:], timeout=10)
        assert not alive
    assert [*nowhere.iterdir()] == []
