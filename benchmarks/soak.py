"""A soak: a study on PostgreSQL whose workers are killed without pause, against an undisturbed run.

    .venv/bin/python benchmarks/soak.py --trials 20000 --workers 16 --kill-every 1 --minutes 5

A supervisor keeps so many `fairlead worker` processes. One of those that the ledger has heard of,
drawn at random, gets kill -9 every so many seconds for so many minutes; another takes its place.
Then the rest of the study is searched in peace. The same spec runs on SQLite with two workers that
nobody kills: parameters, scores and states of all trials must be the same. Ends with status 1 where
anything is not as it must be. The server is a private one, with fsync on, unless --ledger names an
empty database.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from timing import ROOT, python

from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from fairlead.records import Event
from fairlead.worker.forkserver import VARIABLE, started

SPEC = """
name: soak
data: {{source: diabetes, seed: 1}}
search:
  method: random
  trials: {trials}
  folds: 2
  over:
    - family: sklearn.linear_model:Ridge
      params: {{alpha: {{low: 0.000001, high: 1000000.0, log: true}}}}
promote: {{when: never}}
"""
PATIENCE = 1800.0
"""Seconds that the rest of the study may take, once nobody is killed any more."""


@dataclass(kw_only=True)
class Supervisor:
    """Keeps workers, and kills them."""

    folder: Path
    environ: Mapping[str, str]
    count: int
    draw: random.Random
    killed: dict[str, float] = field(default_factory=dict)
    alive: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    begun: int = 0

    def fill(self) -> None:
        """Have as many as there are to be; one that ended by itself is a fault."""
        for name, process in list(self.alive.items()):
            if process.poll() is not None:
                raise SystemExit(f"worker {name} ended with {process.returncode} by itself")
        while len(self.alive) < self.count:
            self.begun += 1
            name = f"w{self.begun}"
            self.alive[name] = start(self.folder, self.environ, "worker", "--name", name)

    def kill(self, known: Collection[str], now: float) -> None:
        """One of them that is known to the ledger, at this time of its clock."""
        if not (names := sorted(self.alive.keys() & known)):
            return
        name = self.draw.choice(names)
        process = self.alive.pop(name)
        process.kill()
        self.killed[name] = now
        process.wait()

    def end(self) -> None:
        for process in self.alive.values():
            process.send_signal(signal.SIGTERM)
        for process in self.alive.values():
            process.wait(120)


def start(folder: Path, environ: Mapping[str, str], *words: str) -> subprocess.Popen[bytes]:
    with (folder / "output.log").open("ab") as log:
        return subprocess.Popen(
            python("-m", "fairlead", "--home", str(folder / "home"), *words),
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def done(folder: Path, environ: Mapping[str, str], *words: str) -> str:
    return subprocess.run(
        python("-m", "fairlead", "--home", str(folder / "home"), *words),
        env={**os.environ, **environ},
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def digest(ledger: Ledger, study: str) -> str:
    """Of all that a trial is, but for when and by whom."""
    hashed = hashlib.sha256()
    for row in ledger.studies.trials(study):
        result = row.result
        told = result and [result.state, result.score, list(result.scores or ())]
        one = [row.trial.number, row.trial.family, dict(row.trial.params), told]
        hashed.update(json.dumps(one, sort_keys=True).encode())
    return hashed.hexdigest()


def calm(folder: Path) -> tuple[str, float]:
    """The digest of the study that nobody disturbs, and its trials a second."""
    environ = {"FAIRLEAD_MLFLOW_URI": "none"}
    done(folder, environ, "run", str(folder / "soak.yaml"), "--workers", "2")
    with open_ledger(folder / "home" / "ledger.db") as ledger:
        (study,) = ledger.studies.all()
        return digest(ledger, study.id), rate(ledger.studies.events(study.id))


def rate(events: Sequence[Event]) -> float:
    at = [event.at for event in events if event.kind == "committed"]
    return (len(at) - 1) / (max(at) - min(at))


def waits(events: Sequence[Event], killed: Mapping[str, float]) -> list[float]:
    """How long each task that a killed worker had in hand waited for the next one."""
    lost: dict[int, float] = {}
    waited = []
    for event in events:
        assert event.task is not None or event.kind not in {"lost", "claimed"}
        if event.kind == "lost" and event.worker in killed and event.task is not None:
            lost[event.task] = killed[event.worker]
        elif event.kind == "claimed" and event.task in lost:
            waited.append(event.at - lost.pop(event.task))
    return waited


def soak(asked: argparse.Namespace, folder: Path, url: str) -> Iterator[str]:
    """Lines of what was seen; raises SystemExit where something is wrong."""
    environ = {
        "FAIRLEAD_LEDGER": url,
        "FAIRLEAD_ARTIFACTS": (folder / "artifacts").as_uri(),
        "FAIRLEAD_MLFLOW_URI": "none",
        "FAIRLEAD_LEASE": str(asked.lease),
    }
    with ExitStack() as stack:
        forks = stack.enter_context(started(folder / "home"))
        supervisor = Supervisor(
            folder=folder,
            environ={**environ, **({VARIABLE: forks} if forks else {})},
            count=asked.workers,
            draw=random.Random(asked.seed),
        )
        run = done(folder, environ, "submit", str(folder / "soak.yaml"))
        controller = start(folder, environ, "controller")
        stack.callback(controller.wait)
        stack.callback(controller.terminate)
        stack.callback(supervisor.end)
        ledger = stack.enter_context(open_ledger(url))
        study = ledger.runs.get(run).study
        until = time.monotonic() + 60 * asked.minutes
        while ledger.runs.get(run).state == "running" and time.monotonic() < until:
            supervisor.fill()
            time.sleep(asked.kill_every)
            known = {worker.name for worker in ledger.workers.alive()}
            supervisor.kill(known, ledger.now())
        by_then = ledger.studies.counts(study).done
        yield f"{len(supervisor.killed)} workers killed, {by_then} trials done by then"
        last = time.monotonic() + PATIENCE
        while ledger.runs.get(run).state == "running" and time.monotonic() < last:
            supervisor.fill()
            time.sleep(0.5)
        yield from verified(ledger, run, asked.trials, supervisor.killed)


def verified(ledger: Ledger, run: str, trials: int, killed: Mapping[str, float]) -> Iterator[str]:
    study = ledger.runs.get(run).study
    events = ledger.studies.events(study)
    kinds = Counter(event.kind for event in events)
    commits = Counter(event.task for event in events if event.kind == "committed")
    results, _ = ledger.studies.results(study)
    numbers = Counter(result.number for result in results)
    faults = {
        "the run has not ended well": ledger.runs.get(run).state != "done",
        "a trial has not exactly one result": numbers != Counter(range(trials)),
        "a task was not committed exactly once": {*commits.values()} != {1},
        "a task is stuck": bool(ledger.tasks.open() or ledger.tasks.running()),
        "an attempt failed": bool(kinds["faulted"]),
    }
    yield f"attempts {kinds['claimed']}, committed {kinds['committed']}, lost {kinds['lost']}"
    yield f"{rate(events):.0f} trials a second"
    if waited := waits(events, killed):
        yield f"a killed worker's task waited {max(waited):.1f} s at most ({len(waited)} tasks)"
    yield f"digest {digest(ledger, study)}"
    if wrong := [text for text, holds in faults.items() if holds]:
        raise SystemExit("; ".join(wrong))


@contextmanager
def database(ledger: str | None) -> Iterator[str]:
    if ledger:
        yield ledger
        return
    sys.path.append(str(ROOT))
    from tests.support.postgres import PostgresServer

    server = PostgresServer(max_connections=300)
    try:
        yield server.url
    finally:
        server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--kill-every", type=float, default=1.0, help="seconds")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--lease", type=float, default=10.0, help="seconds")
    parser.add_argument("--seed", type=int, default=1, help="of who is killed")
    parser.add_argument("--ledger", help="URL of an empty database")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, database(asked.ledger) as url:
        print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores", flush=True)
        places = {name: Path(folder) / name for name in ("soak", "calm")}
        for place in places.values():
            place.mkdir()
            (place / "soak.yaml").write_text(SPEC.format(trials=asked.trials))
        said = []
        for line in soak(asked, places["soak"], url):
            said.append(line)
            print(line, flush=True)
        wanted, speed = calm(places["calm"])
        print(f"undisturbed on SQLite with 2 workers: {speed:.0f} trials a second")
        print(f"digest {wanted}", f"load average {os.getloadavg()[0]:.1f}", sep="\n")
        if said[-1] != f"digest {wanted}":
            raise SystemExit("the trials are not those of the undisturbed run")


if __name__ == "__main__":
    main()
