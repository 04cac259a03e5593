"""What a claim costs with 1,000 and with 1,000,000 trials in the ledger.

    python benchmarks/claim.py
    python benchmarks/claim.py --postgresql postgresql://USER@HOST/DATABASE

On a PostgreSQL server each size has a schema of its own, which is dropped at the end. Tasks are put
in as a coordinator does, in chunks; then tasks are claimed and committed one by one, each call
timed. Exits 1 if the large ledger's claim takes over 3 times as long as the small one's.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from fairlead.records import NewTask, Result, Study, Trial

CHUNK = 10_000
SAMPLES = 300
LIMIT = 3.0
Value = TypeVar("Value")


def fill(ledger: Ledger, trials: int, *, paused: bool = False) -> float:
    study = Study(id="b" * 64, name="claim", spec="{}", table="0" * 64, size=trials, paused=paused)
    ledger.studies.open(study)
    began = time.perf_counter()
    for first in range(0, trials, CHUNK):
        ledger.tasks.add(
            study.id,
            [
                NewTask(
                    kind="trials",
                    trials=(
                        Trial(number=number, family="f", params={"leaf": number, "rate": 0.1}),
                    ),
                )
                for number in range(first, min(first + CHUNK, trials))
            ],
        )
    return time.perf_counter() - began


def timed(run: Callable[..., Value], *given: object, **named: object) -> tuple[float, Value]:
    began = time.perf_counter()
    value = run(*given, **named)
    return time.perf_counter() - began, value


def one_trial(ledger: Ledger) -> dict[str, float]:
    claiming, claim = timed(ledger.tasks.claim, "w", lease=60)
    assert claim is not None
    results = [Result(number=claim.trials[0].number, state="done", scores=(1.0,), score=1.0)]
    committing, _ = timed(ledger.tasks.commit, claim, results)
    counting, _ = timed(ledger.studies.counts, claim.study)
    nothing, _ = timed(ledger.tasks.claim, "w", lease=60, study="none")
    return {
        "claim": claiming,
        "commit": committing,
        "counts": counting,
        "claim of nothing": nothing,
    }


@contextmanager
def location(postgresql: str | None, trials: int) -> Iterator[str]:
    """The URL of a ledger that is new, and gone at the end."""
    if postgresql is None:
        with tempfile.TemporaryDirectory() as folder:
            yield str(Path(folder) / "ledger.db")
        return
    import psycopg

    schema = f"claim_{trials}"
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
        try:
            yield f"{postgresql}?options=-csearch_path%3D{schema}"
        finally:
            connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())


def measure(trials: int, postgresql: str | None, *, listed: bool) -> dict[str, float]:
    with location(postgresql, trials) as url, open_ledger(url) as ledger:
        filling = fill(ledger, trials)
        spent = [one_trial(ledger) for _ in range(SAMPLES)]
        found = {
            name: 1e6 * statistics.median(sample[name] for sample in spent) for name in spent[0]
        }
        found["add, a trial"] = 1e6 * filling / trials
        if listed:
            listing, rows = timed(ledger.studies.trials, "b" * 64)
            assert len(rows) == trials
            found["list, a trial"] = 1e6 * listing / trials
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=1_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--postgresql", metavar="URL")
    parser.add_argument("--no-list", action="store_true", help="do not read all trials at the end")
    asked = parser.parse_args()
    small, large = (
        measure(trials, asked.postgresql, listed=not asked.no_list)
        for trials in (asked.small, asked.large)
    )
    print(f"{'microseconds':>20} {asked.small:>12,} {asked.large:>12,} {'ratio':>8}")
    for name, least in small.items():
        print(f"{name:>20} {least:>12.1f} {large[name]:>12.1f} {large[name] / least:>8.2f}")
    if large["claim"] > LIMIT * small["claim"]:
        raise SystemExit(f"the claim takes over {LIMIT} times as long")


if __name__ == "__main__":
    main()
