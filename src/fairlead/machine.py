"""This machine, as a process sees it: its cores, memory and packages, and a name of its own."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

SAME_PACKAGES: Mapping[str, str] = {
    "xgboost-cpu": "xgboost",
    "tensorflow-cpu": "tensorflow",
}
"""Packages that are another one, built otherwise."""

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
"""Says whether TensorFlow computes by oneDNN, whose sums differ between processors."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_CGROUPS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),  # of version 1
)
"""Where a container reads how much memory it may use."""


def usable_cores() -> int:
    """How many cores this process may use: a container may have few of the machine's."""
    affinity = hasattr(os, "sched_getaffinity")
    return (len(os.sched_getaffinity(0)) if affinity else os.cpu_count()) or 1


def unique_name() -> str:
    """A name that no other process, here or elsewhere, goes by: the host, this process, chance."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


def boot() -> str:
    """What no other machine has, and this one has until it is started again."""
    try:
        return _BOOT.read_text().strip()
    except OSError:  # not Linux
        return socket.gethostname()


def usable_memory() -> int:
    """Bytes of memory that processes may use here: a container may have few of the machine's."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in _CGROUPS:
        with contextlib.suppress(OSError):
            limit = file.read_text().strip()
            return min(whole, int(limit)) if limit.isdigit() else whole
    return whole


def library_environment(threads: int) -> dict[str, str]:
    """Environment variables by which libraries loaded later give the same bits each time.

    They have so many threads, and TensorFlow, whoever imports it first, is without oneDNN.
    """
    libraries = ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR")
    names = [*(f"{library}_NUM_THREADS" for library in libraries), "VECLIB_MAXIMUM_THREADS"]
    return {**dict.fromkeys(names, str(threads)), ONEDNN: "0"}


def die_with(parent: int) -> None:
    """End this process when its parent is gone, even in the middle of a call of a library.

    The kernel does so as well where the thread that started this process has ended, so that is to
    be one which stays.

    Args:
        parent: Process id of it.
    """
    if sys.platform == "linux":
        import ctypes

        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of prctl(2)
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    threading.Thread(target=_end_without, args=(parent,), daemon=True).start()


def _end_without(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def own_memory() -> int:
    """Bytes of memory that this process holds, shared ones included."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def installed_packages() -> dict[str, str]:
    """The packages that can be imported, by their normalised names (PEP 503), and their versions.

    They are told by the names of their folders: to read what each says of itself takes 50 ms.
    """
    found: dict[str, str] = {}
    for folder in filter(None, reversed(sys.path)):  # of two the first in the path is imported
        for entry in Path(folder).glob("*-*.dist-info"):
            name, _, version = entry.name.removesuffix(".dist-info").rpartition("-")
            found[normalised(name)] = version
    for name, other in SAME_PACKAGES.items():
        if name in found:
            found.setdefault(other, found[name])
    return found


def normalised(package: str) -> str:
    """The name of a package as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", package).lower()
