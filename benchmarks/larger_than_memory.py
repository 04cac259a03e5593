"""A folder of 10 GB of Parquet, searched under a limit of 2 GB of memory.

    .venv/bin/python benchmarks/larger_than_memory.py FOLDER [GIGABYTES] [MEMORY_GIGABYTES]
    .venv-distributed/bin/python benchmarks/larger_than_memory.py FOLDER 10 6 EXECUTORS

FOLDER is made and filled, if it is not there: files of 100 drawn numbers and a target in each row.
Then `fairlead run` searches it, refits, judges and registers, with all its processes in a control
group of their own (version 1 or 2, as root) that may hold MEMORY_GIGABYTES, mapped files and the
page cache included: who holds more is killed. Printed are what the run says, its seconds, and the
most that the group, and any one of its processes by itself, held, by what the process is. With
EXECUTORS the fits are shared by so many of Spark's, which are in the group as well.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

WIDTH = 100
A_FILE = 1 << 18  # rows
GROUP = 1 << 15  # rows
GIGA = 10**9
ROOTS = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))
SPEC = """
name: larger-than-memory
data: {{source: {folder}, target: y, holdout: {{share: 0.1}}}}
search:
  method: grid
  folds: 2
  metric: mse
  over:
    - family: xgboost
      params: {{n_estimators: [4, 8], max_depth: 4, learning_rate: 0.3, max_bin: 64}}
"""
ON_SPARK = "train: {{engine: spark, workers: {workers}, resources: {{memory: 2GiB}}}}\n"
KINDS = {  # of processes, by a word of their command
    "fairlead.worker.child": "worker's child (the driver of fits)",
    "pyspark.daemon": "Python of an executor",
    "CoarseGrainedExecutorBackend": "JVM of an executor",
    "java": "JVM of the driver",
}


def fill(folder: Path, size: int) -> None:
    """Files of drawn numbers, which nothing makes smaller, of so many bytes together."""
    making = folder.with_name(f"{folder.name}.part")  # one that is cut short is not searched
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    names = [f"x{at:02}" for at in range(WIDTH)]
    rng = np.random.default_rng(0)
    rows = size // (8 * (WIDTH + 1))
    for number, start in enumerate(range(0, rows, A_FILE)):
        x = rng.random((min(A_FILE, rows - start), WIDTH))
        y = 3 * x[:, 0] + np.sin(6 * x[:, 1]) + x[:, 2] * x[:, 3] + 0.1 * rng.random(len(x))
        table = pa.table([*x.T.copy(), y], names=[*names, "y"])
        file = making / f"part-{number:04}.parquet"
        pq.write_table(table, file, row_group_size=GROUP, compression="none", use_dictionary=False)
    making.rename(folder)


@contextmanager
def group(memory: int) -> Iterator[Path]:
    """A control group that may hold so many bytes; its folder."""
    root = next(root for root in ROOTS if root.is_dir())
    folder = root / f"fairlead-{secrets.token_hex(4)}"
    folder.mkdir()
    limits = [folder / "memory.limit_in_bytes", folder / "memory.max"]
    next(limit for limit in limits if limit.exists()).write_text(str(memory))
    try:
        yield folder
    finally:
        while folder.exists():
            try:
                folder.rmdir()
            except OSError:  # a process of it has not ended yet
                time.sleep(0.5)


def most_held(folder: Path) -> str:
    """What the kernel counted: the most, and how often the limit was met."""
    files = ("memory.max_usage_in_bytes", "memory.failcnt", "memory.peak", "memory.events")
    found = [folder / name for name in files if (folder / name).exists()]
    return "; ".join(f"{file.name} {' '.join(file.read_text().split())}" for file in found)


class Watch(threading.Thread):
    """The most that one process of each kind held by itself, without mapped files."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.most: dict[str, int] = {}
        self._folder, self._over = folder, threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.5):
            for pid in (self._folder / "cgroup.procs").read_text().split():
                try:
                    process = psutil.Process(int(pid))
                    held, command = process.memory_info(), " ".join(process.cmdline())
                except psutil.NoSuchProcess:
                    continue
                kind = next((KINDS[word] for word in KINDS if word in command), "other")
                self.most[kind] = max(self.most.get(kind, 0), held.rss - held.shared)

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()


def run(folder: Path, memory: int, executors: int) -> None:
    """The whole way, in the group."""
    home = folder.parent / f"{folder.name}-home"
    spec = folder.parent / f"{folder.name}.yaml"
    shared = ON_SPARK.format(workers=executors) if executors else ""
    spec.write_text(SPEC.format(folder=folder) + shared)
    environ = {
        **os.environ,
        "FAIRLEAD_HOME": str(home),
        "FAIRLEAD_MLFLOW_URI": "none",
        "FAIRLEAD_DATA_MEMORY": str(memory // 4),
    }
    command = [sys.executable, "-m", "fairlead", "run", str(spec), "--workers", "1"]
    with group(memory) as held_by:
        watch = Watch(held_by)
        watch.start()
        started = time.monotonic()
        inside = f'echo $$ > {held_by / "cgroup.procs"} && exec "$@"'
        done = subprocess.run(["sh", "-c", inside, "sh", *command], env=environ, check=False)
        seconds = time.monotonic() - started
        watch.stop()
        print(f"exit {done.returncode}, {seconds:.0f} s; {most_held(held_by)}")
        for kind, most in sorted(watch.most.items()):
            print(f"{kind}, by itself: at most {most / GIGA:.2f} GB")


def main() -> None:
    """Make the data, and search it."""
    folder = Path(sys.argv[1]).absolute()
    size, memory, executors = (
        float(sys.argv[at]) if len(sys.argv) > at else given
        for at, given in ((2, 10), (3, 2), (4, 0))
    )
    if not folder.is_dir():
        started = time.monotonic()
        fill(folder, int(size * GIGA))
        print(f"made in {time.monotonic() - started:.0f} s")
    held = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{len(list(folder.iterdir()))} files, {held / GIGA:.2f} GB", flush=True)
    run(folder, int(memory * GIGA), int(executors))


if __name__ == "__main__":
    main()
