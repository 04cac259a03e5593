"""Files that are there whole or not at all, whatever dies while they are written.

A file is written under a temporary name in its own folder, fsynced, renamed, and its folder
fsynced.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

TEMPORARY = ".tmp-"
"""How the names of temporary files begin; a writer that was killed leaves one behind."""
PRIVATE = 0o600
READ_ONLY = 0o444


def write(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write the content to the file, in a folder that is made if need be.

    Args:
        path: A file that is there is replaced.
        content: All of it.
        mode: Permissions, less those that the umask takes away.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path, mode=mode) as file:
        file.write(content)


@contextmanager
def replaced(path: Path, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` at the end, unless something is raised.

    Args:
        path: Its folder must be there.
        mode: As for `write`.
    """
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(handle)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextmanager
def renamed(path: Path, *, mode: int = 0o666) -> Iterator[Path]:
    """As `replaced`, for a file that others write: gives its name, at which there is none yet."""
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
