"""Start-up and idle memory.

    .venv/bin/python benchmarks/startup.py [RUNS]

`fairlead --help` against a command of click alone; the resident memory of a worker that waits for
its first task; a finished study shown again.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from timing import in_turn, median_ratio, python, seconds_of

CLICK = "import click\n@click.command()\ndef main(): pass\nmain()"


def idle_worker(home: str) -> float:
    """MiB that a worker holds once it has found nothing to do for a second."""
    worker = subprocess.Popen(python("-m", "fairlead", "--home", home, "worker"))
    process = psutil.Process(worker.pid)
    try:
        time.sleep(3)
        return process.memory_info().rss / (1 << 20)
    finally:
        worker.terminate()
        worker.wait()


def main(runs: int) -> None:
    command = shutil.which("fairlead", path=str(Path(sys.executable).parent)) or "fairlead"
    ours, alone = in_turn(
        runs,
        lambda: seconds_of([command, "--help"]),
        lambda: seconds_of(python("-c", CLICK, "--help")),
    )
    print(
        f"fairlead --help {1000 * statistics.median(ours):.0f} ms   click alone "
        f"{1000 * statistics.median(alone):.0f} ms   ratio {median_ratio(ours, alone):.2f}"
    )
    with tempfile.TemporaryDirectory() as home:
        run = [command, "--home", home, "run", "examples/boston.yaml", "--set", "search.trials=2"]
        first, again = seconds_of(run), seconds_of(run)
        print(f"two trials of the Boston grid {first:.2f} s   shown again {again:.2f} s")
        print(f"idle worker {idle_worker(home):.0f} MiB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
