"""The children of a test's process."""

from __future__ import annotations

import psutil


def children_with(word: str) -> list[psutil.Process]:
    """Those that are alive and have this word in their command line.

    A process that was started just now may have no command line yet; one that ended has none.
    """
    return [one for one in psutil.Process().children() if word in _command_line(one)]


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.ZombieProcess, psutil.NoSuchProcess):
        return []
