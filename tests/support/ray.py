"""A private Ray cluster of one machine: a head, without a dashboard, that lets only us in.

It is ended by the ids of its processes, never by `ray stop`, which ends those of others, too.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.lacking import lacking
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

CORES = 3
"""Workers of one core that it has room for."""
_STORE = 80_000_000  # bytes; the least that Ray takes is 75 MiB
_TOKEN = secrets.token_hex(32)


@dataclass(frozen=True, kw_only=True)
class RayCluster:
    """Where it is, and what lets us in."""

    address: str
    environ: Mapping[str, str]
    folder: Path
    head: int  # the process

    def end(self) -> None:
        """End it at once, as when its machine fails."""
        end(self.head)


@contextmanager
def ray_cluster(port: int | None = None) -> Iterator[RayCluster]:
    """A cluster that is there while this is open, with its head at this port, or at any."""
    if importlib.util.find_spec("ray") is None:
        lacking("Ray: pip install 'fairlead[ray]'")
    folder = Path(tempfile.mkdtemp(prefix="fairlead-ray-"))  # short: it has sockets in it
    free, client = free_ports(2)
    environ = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": _TOKEN,
        "RAY_TMPDIR": str(folder),  # of those that connect
        "RAY_raylet_start_wait_time_s": "150",  # on a machine that is full of other tests
    }
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    options = {
        "port": port or free,
        "ray-client-server-port": client,  # nobody asks it, and its own could be taken
        "num-cpus": CORES,
        "object-store-memory": _STORE,
        "include-dashboard": "false",
        "include-log-monitor": "false",
        "temp-dir": folder / "t",
        "min-worker-port": 0,  # any: those that it would take may be ours
        "max-worker-port": 0,
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    log = folder / "log"
    with log.open("wb") as output:
        head = subprocess.Popen(
            [*command, *words, "--disable-usage-stats"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            env={**os.environ, **environ, "HOME": str(folder)},
        )

    def started() -> bool:
        assert head.poll() is None, log.read_text()
        return "Ray runtime started" in log.read_text()

    try:
        wait_until(started, seconds=200, every=0.1)
        host = log.read_text().split("Local node IP: ")[1].split()[0]
        yield RayCluster(
            address=f"{host}:{port or free}",
            environ=environ,
            folder=folder,
            head=head.pid,
        )
    finally:
        end(head.pid)
        head.wait()
        shutil.rmtree(folder, ignore_errors=True)


def end(head: int) -> None:
    """End the head and what it started; it ends its children itself where one of them ends."""
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(head).children(recursive=True)
        for process in (psutil.Process(head), *children):
            process.kill()
        psutil.wait_procs(children, timeout=60)
