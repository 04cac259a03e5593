"""Arrays that are written to disk as they are read, and mapped once they are whole.

They lie in a folder of this process, which has a lock on it and removes it in the end; a folder
that nobody has a lock on was left by a process that was killed. Each file is named by the SHA-256
of its bytes, which are those of `numpy.save`, so that the artefact store takes it as it is.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fairlead import atomic
from fairlead.artifacts.folder import as_failed

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BUFFER = 1 << 20


class Scratch:
    """A folder that lives as long as this object, or its process.

    Args:
        root: Has the folders of all processes.

    Raises:
        DiskFull: There is no room on the disk.
        Failed: The disk cannot be written.
    """

    def __init__(self, root: Path) -> None:
        with as_failed(f"making a folder in {str(root)!r}"):
            root.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(root)
            self.folder, handle = _made(root)
        weakref.finalize(self, _remove, self.folder, handle, os.getpid())

    def file(self, shape: Sequence[int], kind: type[np.generic]) -> ArrayFile:
        """A new file for an array of this shape."""
        return ArrayFile(self.folder, tuple(shape), np.dtype(kind).newbyteorder("<"))


class ArrayFile:
    """A file of one array, whose rows are told in parts.

    Args:
        folder: Where it is.
        shape: Of the whole array.
        kind: Of its numbers.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], kind: np.dtype[Any]) -> None:
        self._folder, self._kind = folder, kind
        self._path = folder / f"{atomic.TEMPORARY}{secrets.token_hex(8)}"
        self._hash = hashlib.sha256()
        self._file = self._path.open("wb", buffering=_BUFFER)
        says = {
            "descr": np.lib.format.dtype_to_descr(kind),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_1_0(self, says)

    def write(self, content: bytes | memoryview) -> None:
        """Further bytes."""
        self._hash.update(content)
        self._file.write(content)

    def append(self, rows: NDArray[Any]) -> None:
        """Further rows."""
        if rows.size:
            self.write(np.ascontiguousarray(rows, self._kind).reshape(-1).view(np.uint8).data)

    def mapped(self) -> NDArray[Any]:
        """The array, which has all its rows now; it cannot be written to."""
        self._file.close()
        path = self._folder / self._hash.hexdigest()
        self._path.rename(path)
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array

    def close(self) -> None:
        """Write no more; what there is stays until its folder goes."""
        self._file.close()


def _made(root: Path) -> tuple[Path, int]:
    """A new folder, and the handle by which it is locked."""
    while True:
        folder = root / secrets.token_hex(8)
        folder.mkdir(mode=0o700)
        with suppress(FileNotFoundError):  # another process took it for one that was left behind
            handle = os.open(folder, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_SH)
            if folder.is_dir():
                return folder, handle
            os.close(handle)


def _remove_abandoned(root: Path) -> None:
    for folder in root.iterdir():
        with suppress(OSError):  # it is somebody's, or gone
            handle = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)


def _remove(folder: Path, handle: int, owner: int) -> None:
    """Remove the folder, but not in a fork of its process."""
    os.close(handle)
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
