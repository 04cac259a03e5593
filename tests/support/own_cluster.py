"""The one-node cluster of tests/cluster, whose processes a test may stop: it is nobody else's."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.waiting import wait_until

_PROGRAM = Path(__file__).parents[1] / "cluster" / "cluster"
_STATE = Path(os.environ.get("FAIRLEAD_CLUSTER_STATE", "/var/lib/fairlead-cluster"))


def owned() -> None:
    """Skip the test where the cluster is somebody else's."""
    own = _STATE / "kubeconfig" / "admin"
    if os.environ.get("KUBECONFIG") != str(own) or os.geteuid() != 0:
        pytest.skip(
            f"it stops parts of a cluster: only of that of {_PROGRAM.parent.name}/, by root"
        )


@contextmanager
def stopped(part: str) -> Iterator[None]:
    """A part of the cluster, such as kubelet or kube-apiserver, killed, and started again."""
    pid = int((_STATE / "pids" / part).read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    try:
        wait_until(lambda: _has_ended(pid), every=0.1)
        yield
    finally:
        subprocess.run([_PROGRAM, "up"], check=True, capture_output=True, timeout=300)


def kill_in_containers(named: str) -> None:
    """Kill the processes that have this on their command line, as a node that is lost does."""
    found = [int(one.name) for one in Path("/proc").iterdir() if one.name.isdecimal()]
    pids = [pid for pid in found if named in _command_line(pid)]
    assert pids, f"no process has {named!r} on its command line"
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:  # it has ended
        return []


def _has_ended(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return status.rpartition(") ")[2].startswith("Z")
