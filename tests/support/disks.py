"""A small disk that a test fills and makes room on: a file system in memory, mounted by root."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.lacking import lacking

ROOT = [] if os.geteuid() == 0 else ["sudo", "-n"]


class Disk:
    """A folder on a file system of its own.

    Args:
        folder: Where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Leave no room at all."""
        with self._filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass

    def make_room(self) -> None:
        self._filler.unlink()


@contextlib.contextmanager
def small_disk(size: str) -> Iterator[Disk]:
    """A disk of this size that anybody may write to; skips the test where nobody may mount one."""
    folder = Path(tempfile.mkdtemp(prefix="fairlead-disk-"))
    options = f"size={size},mode=1777"
    mount = [*ROOT, "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            lacking("a small disk cannot be mounted without root")
        try:
            yield Disk(folder)
        finally:
            subprocess.run([*ROOT, "umount", "--lazy", str(folder)], check=True)
    finally:
        folder.rmdir()
