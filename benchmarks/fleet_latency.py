"""How soon a fleet on PostgreSQL hears of things, and what the control API takes.

    .venv/bin/python benchmarks/fleet_latency.py [--trials 100000] [--samples 50]

- From submit to first claim: `fairlead worker --slots 4` has waited until it looks at the ledger by
  itself only every few seconds. A study with one task is put in as `fairlead submit` does, with a
  hint for workers; until the ledger's clock at the claim. Also from the time at which the real
  command makes its study until the first claim, which has its first trials sampled in between.
- A page of 100 trials of a study of 100,000 from `fairlead server`, over one kept connection, as
  the client sees it: the first page, and a later one.
- An event: from its time in the ledger until a client that follows the study has read it.

Exits 1 if a median is over its bar.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from claim import fill
from fleet_servers import Fleet, postgresql
from tests.support.postgres import database
from tests.support.waiting import wait_until

from fairlead.ledger.interface import Ledger
from fairlead.queue.interface import Hint
from fairlead.queue.postgres import open_queue
from fairlead.records import NewTask, Study

WORKERS = 4
QUIET = 5.0  # seconds after which idle workers look again only every few seconds
LARGE = "b" * 64  # the study that `fill` makes
BARS = {"claim": 100.0, "page": 20.0, "event": 200.0}


def first_claim(ledger: Ledger, study: str) -> float:
    """When the first of its tasks was claimed, once one is."""

    def claimed() -> float | None:
        found = [event.at for event in ledger.studies.events(study) if event.kind == "claimed"]
        return min(found, default=None)

    return float(wait_until(claimed, every=0.05))


def to_claim(fleet: Fleet, ledger: Ledger, samples: int) -> list[float]:
    """Milliseconds from putting in a study until the claim of its task."""
    warm = ledger.studies.get("warm")
    trial = ledger.studies.trials(warm.id)[0].trial
    found = []
    with closing(open_queue(fleet.ledger, notice=print, study="")) as queue:
        for number in range(samples):
            time.sleep(QUIET)
            study = replace(warm, id=f"{number:064x}", name=f"sample-{number}", size=1)
            began = ledger.now()
            ledger.studies.open(study)
            ledger.tasks.add(study.id, [NewTask(kind="trials", trials=(trial,))])
            queue.announce(Hint(study=study.id, ready=1))
            found.append(1000 * (first_claim(ledger, study.id) - began))
    return found


def by_command(fleet: Fleet, ledger: Ledger, samples: int) -> list[float]:
    """Milliseconds from the study that `fairlead submit` made until its first claim."""
    found = []
    for number in range(samples):
        time.sleep(QUIET)
        fleet.submit(f"command-{number}", 4, seed=100 + number)
        study: Study = ledger.studies.get(f"command-{number}")
        assert study.created is not None
        found.append(1000 * (first_claim(ledger, study.id) - study.created))
    return found


def address(said: Path) -> str:
    """Where the server listens, once it says so."""

    def listening() -> str | None:
        lines = said.read_text().splitlines()
        return next((line.split()[-1] for line in lines if line.startswith("control API")), None)

    return urlsplit(str(wait_until(listening))).netloc


def pages(netloc: str, samples: int) -> tuple[list[float], list[float]]:
    """Milliseconds of the first page of the large study, and of one in its middle."""
    path = f"/api/v1/studies/{LARGE}/trials?limit=100"
    with closing(http.client.HTTPConnection(netloc, timeout=60)) as connection:

        def get(path: str) -> tuple[float, dict[str, object]]:
            began = time.perf_counter()
            connection.request("GET", path)
            body = connection.getresponse().read()
            return 1000 * (time.perf_counter() - began), json.loads(body)

        _, page = get(path)
        first = [get(path)[0] for _ in range(samples)]
        for _ in range(20):
            _, page = get(f"{path}&cursor={page['next']}")
        middle = [get(f"{path}&cursor={page['next']}")[0] for _ in range(samples)]
    return first, middle


def events(netloc: str, ledger: Ledger, samples: int) -> list[float]:
    """Milliseconds from the time of an event until a client has it."""
    found: list[float] = []
    study = ledger.studies.get("warm").id
    before = len(ledger.studies.events(study))
    with closing(http.client.HTTPConnection(netloc, timeout=600)) as connection:
        connection.request("GET", f"/api/v1/events?study={study}")
        answer = connection.getresponse()

        def follow() -> None:
            while line := answer.readline():
                if line.startswith(b"data: "):
                    event = json.loads(line.removeprefix(b"data: "))
                    found.append(1000 * (time.time() - event["at"]))
                    if len(found) == before + samples:
                        return

        thread = threading.Thread(target=follow)
        thread.start()
        for number in range(samples):
            time.sleep(0.137)
            ledger.studies.prioritize(study, number + 1)
        thread.join()
    return found[before:]


def told(name: str, values: Sequence[float], bar: str | None = None) -> bool:
    """Print the values; whether their median is within the bar."""
    median, worst = statistics.median(values), max(values)
    ninth = sorted(values)[int(0.9 * (len(values) - 1))]
    wanted = f"   wanted {BARS[bar]:.0f}" if bar else ""
    print(
        f"{name:<44} median {median:7.1f} ms   p90 {ninth:7.1f}   worst {worst:7.1f}"
        f"   of {len(values)}{wanted}",
        flush=True,
    )
    return bar is None or median <= BARS[bar]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--samples", type=int, default=50)
    asked = parser.parse_args()
    good = []
    with (
        postgresql() as server,
        database(server.url) as url,
        Fleet(ledger=url) as fleet,
    ):
        from fairlead.ledger.store import open_ledger

        fleet.start("controller")
        fleet.start("worker", "--slots", str(WORKERS))
        fleet.submit("warm", 8, seed=0)
        with open_ledger(url) as ledger:
            wait_until(lambda: ledger.studies.get("warm").state == "finished")
            samples = to_claim(fleet, ledger, min(20, asked.samples))
            good.append(told("a study put in, until its claim", samples, "claim"))
            told("the same by `fairlead submit`", by_command(fleet, ledger, 5))
            fill(ledger, asked.trials, paused=True)
            netloc = address(fleet.start("server", "--port", "0", "--no-controller"))
            first, middle = pages(netloc, asked.samples)
            good.append(told(f"100 trials of {asked.trials:,}, first page", first, "page"))
            good.append(told("the same, the 22nd page", middle, "page"))
            good.append(
                told(
                    "an event, until a client has it",
                    events(netloc, ledger, asked.samples),
                    "event",
                )
            )
    if not all(good):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
