"""How the benchmarks time whole commands and print their tables."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("FAIRLEAD_MLFLOW_URI", "none")  # the mirror would run beside the peer
ROOT = Path(__file__).resolve().parent.parent


def seconds_of(command: Sequence[str], **environ: str) -> float:
    """Seconds that the whole command took; it must end well."""
    started = time.monotonic()
    subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environ},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.monotonic() - started


def in_turn(runs: int, *measures: Callable[[], float]) -> list[list[float]]:
    """Each measure `runs` times, one after the other in turn."""
    values: list[list[float]] = [[] for _ in measures]
    for _ in range(runs):
        for kept, measure in zip(values, measures, strict=True):
            kept.append(measure())
    return values


def median_ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """The median of the ratios, pair by pair."""
    return statistics.median(one / other for one, other in zip(slow, fast, strict=True))


def python(*args: str) -> list[str]:
    """A command of this interpreter."""
    return [sys.executable, *args]
