"""This machine, as a process sees it: the cores that it may use, and a name of its own on it."""

from __future__ import annotations

import os
import secrets
import socket


def usable_cores() -> int:
    """How many cores this process may use: a container may have few of the machine's."""
    affinity = hasattr(os, "sched_getaffinity")
    return (len(os.sched_getaffinity(0)) if affinity else os.cpu_count()) or 1


def unique_name() -> str:
    """A name that no other process, here or elsewhere, goes by: the host, this process, chance."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
