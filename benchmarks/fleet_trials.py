"""Trials that do nothing, a second, over PostgreSQL with 4 workers, against Optuna, Celery and Ray.

    .venv/bin/python benchmarks/fleet_trials.py --setup benchmarks/.venv-fleet
    .venv/bin/python benchmarks/fleet_trials.py benchmarks/.venv-fleet --rounds 3

All of them use one PostgreSQL server with its default settings, each a new database, and one
RabbitMQ broker. What is counted is results a second by the database's rows, from the first result
to the last of a fleet that is warm: it has done some trials before. In each round they have their
turn one after the other.

- Fairlead: `fairlead controller` and `fairlead worker --slots 4`; a study of random trials is
  submitted. Each trial is fitted and scored over 2 folds in a child process and committed with its
  attempt's history. Without a broker, and with $FAIRLEAD_QUEUE.
- Optuna: 4 processes optimize one study in PostgreSQL by its RandomSampler.
- Celery: 4 processes, acks_late, prefetch 1, its own result backend for databases.
- Ray Tune: 4 actors that are used again; the driver writes each result into PostgreSQL.
- Dask: 4 worker processes; each task writes its result into PostgreSQL. Its scheduler keeps tasks
  in memory alone.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from environments import set_up
from fleet_servers import Fleet, broker, postgresql
from tests.support.postgres import database
from tests.support.waiting import wait_until
from timing import ROOT

PEERS = ROOT / "benchmarks" / "peers" / "fleet"
WORKERS = 4
WARM = 40
_RATE = (
    "select count(*), extract(epoch from max(at) - min(at)) from (select to_timestamp(at) as at "
    "from events join studies on studies.number = study where kind = 'committed' and "
    "studies.name = %s) as committed"
)


@dataclass(frozen=True, kw_only=True)
class Servers:
    """Where the servers are.

    Args:
        admin: URL of PostgreSQL's administration.
        amqp: URL of the broker.
        environments: Folder of the peers' virtual environments.
    """

    admin: str
    amqp: str
    environments: Path


def fairlead(servers: Servers, trials: int, *, queue: bool) -> float:
    with (
        database(servers.admin) as url,
        Fleet(ledger=url, queue=servers.amqp if queue else None) as fleet,
    ):
        fleet.start("controller")
        fleet.start("worker", "--slots", str(WORKERS))
        fleet.submit("warm", WARM, seed=0)
        _seconds(url, "warm", WARM)
        fleet.submit("measured", trials, seed=1)
        return (trials - 1) / _seconds(url, "measured", trials)


def _seconds(url: str, study: str, trials: int) -> float:
    """From the first result of the study to its last, once all are there."""
    with psycopg.connect(url, autocommit=True) as connection:
        seconds: float | None = None

        def done() -> bool:
            nonlocal seconds
            found, seconds = connection.execute(_RATE, (study,)).fetchone() or (0, None)
            return bool(found >= trials)

        wait_until(done, seconds=600, every=0.25)
        return float(seconds or 0)


def optuna(servers: Servers, trials: int) -> float:
    with database(servers.admin) as url:
        return _peer(servers, "optuna", "optuna_trials", url, trials)


def celery(servers: Servers, trials: int) -> float:
    with database(servers.admin) as url:
        environ = {
            "TRIALS_DATABASE": url.replace("postgresql:", "postgresql+psycopg:"),
            "TRIALS_BROKER": f"{servers.amqp}//",
        }
        return _peer(servers, "celery", "celery_trials", trials, **environ)


def ray(servers: Servers, trials: int) -> float:
    with database(servers.admin) as url, tempfile.TemporaryDirectory() as folder:
        return _peer(servers, "ray", "ray_trials", url, trials, last=folder)


def dask(servers: Servers, trials: int) -> float:
    with database(servers.admin) as url:
        return _peer(servers, "dask", "dask_trials", url, trials)


def _peer(
    servers: Servers, environment: str, script: str, *given: object, last: str = "", **environ: str
) -> float:
    """What the peer's script prints at its end: results a second."""
    program = servers.environments.resolve() / environment / "bin" / "python"
    words = [*map(str, given), str(WORKERS), *([last] if last else [])]
    done = subprocess.run(
        [str(program), f"{script}.py", *words],
        cwd=PEERS,
        env={**os.environ, **environ},
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if "-v" not in sys.argv else None,
        text=True,
    )
    return float(done.stdout.split()[-1])


SYSTEMS: Mapping[str, tuple[Callable[[Servers, int], float], float]] = {
    "Fairlead": (lambda servers, trials: fairlead(servers, trials, queue=False), 1.0),
    "Fairlead, RabbitMQ": (lambda servers, trials: fairlead(servers, trials, queue=True), 1.0),
    "Celery": (celery, 1.0),
    "Optuna": (optuna, 0.2),
    "Ray Tune": (ray, 0.05),
    "Dask": (dask, 1.0),
}
"""What is measured, and the share of the trials that it is given: the slow ones fewer."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    default = ROOT / "benchmarks" / ".venv-fleet"
    parser.add_argument("environments", type=Path, nargs="?", default=default)
    parser.add_argument("--setup", action="store_true", help="make the environments")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=3000)
    parser.add_argument("--only", action="append", metavar="NAME", choices=SYSTEMS)
    asked = parser.parse_args()
    if asked.setup:
        set_up(asked.environments, PEERS)
        return
    names = asked.only or list(SYSTEMS)
    rates: dict[str, list[float]] = {name: [] for name in names}
    with postgresql() as server, broker() as rabbit:
        servers = Servers(admin=server.url, amqp=rabbit.url, environments=asked.environments)
        for _ in range(asked.rounds):
            for name in names:
                measure, share = SYSTEMS[name]
                rates[name].append(measure(servers, int(asked.trials * share)))
                load = os.getloadavg()[0]
                print(f"{name:<20} {rates[name][-1]:8.1f} trials/s   load {load:.1f}", flush=True)
    _print_ratios(rates)


def _print_ratios(rates: Mapping[str, Sequence[float]]) -> None:
    first = next(iter(rates))
    print(f"\n{'':<20} {'median/s':>10} {first + ' is':>14}")
    for name, mine in rates.items():
        ratio = statistics.median(
            one / other for one, other in zip(rates[first], mine, strict=True)
        )
        print(f"{name:<20} {statistics.median(mine):>10.1f} {ratio:>13.2f}x")


if __name__ == "__main__":
    main()
