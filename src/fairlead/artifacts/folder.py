"""Artefacts in a local folder: ab/abcdef... .

A name that is there is whole, whatever dies (atomic.py). It is verified all the same when it is
read, since disks and people change files. Writers share a folder's lock; who deletes has it alone.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeAlias

from fairlead import atomic
from fairlead.artifacts.backend import Stored, damaged, digest_of_file, is_digest, missing
from fairlead.errors import Corrupt, DiskFull, Failed
from fairlead.records import Digest

FULL = {errno.ENOSPC, errno.EDQUOT}
_CHUNK = 1 << 20

_Identity: TypeAlias = tuple[int, int, int]  # inode, bytes, nanoseconds of the last change


class Verified:
    """The files that this process has read and found to be what their names say."""

    def __init__(self) -> None:
        self._known: dict[Digest, _Identity] = {}

    def check(self, digest: Digest, file: Path) -> None:
        """Read the file, unless it is the very one that was read before: tables are large.

        Raises:
            Corrupt: It is damaged.
            OSError: It cannot be read.
        """
        identity = _identity(file)
        if self._known.get(digest) == identity:
            return
        found, size = digest_of_file(file)
        if found != digest:
            raise damaged(digest, str(file), size)
        self._known[digest] = identity

    def note(self, digest: Digest, file: Path) -> None:
        """The file is sound as it is."""
        self._known[digest] = _identity(file)


class FolderBackend:
    """A local folder that keeps artefacts."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._verified = Verified()

    def write(self, digest: Digest, content: bytes) -> None:
        """Keep these bytes."""
        self._keep(digest, lambda file: file.write(content))

    def copy(self, digest: Digest, source: Path) -> None:
        """Keep a copy of this file."""
        self._keep(digest, lambda file: _copy(source, file, digest))

    def adopt(self, digest: Digest, source: Path) -> None:
        """Keep this very file under a further name; a copy where the disk is another."""
        file = self._file(digest)
        with as_failed(f"storing artefact {digest} under {str(self._root)!r}"):
            make_folder(file.parent)
            with locked(file.parent, fcntl.LOCK_SH):
                if self._renewed(digest):
                    return
                if _linked(source, file):
                    self._verified.note(digest, file)
                    return
        self.copy(digest, source)

    def read(self, digest: Digest) -> bytes:
        """The bytes as they are there."""
        with self._found(digest) as file:
            return file.read_bytes()

    def path(self, digest: Digest) -> Path:
        """The file of this digest, verified."""
        with self._found(digest) as file:
            self._verified.check(digest, file)
            return file

    def exists(self, digest: Digest) -> bool:
        """Whether there is a file of this name."""
        return self._file(digest).is_file()

    def all(self) -> Iterator[Stored]:
        """Every file that is named as an artefact is."""
        for file in self._root.glob("??/*"):
            if is_digest(file.name):
                with suppress(FileNotFoundError):  # somebody deleted it meanwhile
                    yield _stored(file)

    def delete(self, digest: Digest, *, unless_after: float | None) -> None:
        """Remove the file; nobody is about to find it, to store it again, or to replace it."""
        file = self._file(digest)
        with suppress(FileNotFoundError), locked(file.parent, fcntl.LOCK_EX):
            if unless_after is None or file.stat().st_mtime <= unless_after:
                file.unlink()

    def stale_temporaries(self, *, older_than: float) -> Iterator[Path]:
        """Temporary files that nobody has written to for so long."""
        before = time.time() - older_than
        for file in self._root.glob(f"??/{atomic.TEMPORARY}*"):
            with suppress(FileNotFoundError):  # its writer is alive after all, and done
                if file.stat().st_mtime < before:
                    yield file

    def _file(self, digest: Digest) -> Path:
        return self._root / digest[:2] / digest

    @contextmanager
    def _found(self, digest: Digest) -> Iterator[Path]:
        try:
            yield self._file(digest)
        except FileNotFoundError:
            raise missing(digest, str(self._root)) from None
        except OSError as error:
            raise Failed(f"reading artefact {digest}: {error}") from error

    def _keep(self, digest: Digest, fill: Callable[[BinaryIO], object]) -> None:
        file = self._file(digest)
        with as_failed(f"storing artefact {digest} under {str(self._root)!r}"):
            make_folder(file.parent)
            with locked(file.parent, fcntl.LOCK_SH):
                if self._renewed(digest):
                    return
                # Read-only: nobody edits by accident what others know by its digest.
                with atomic.replaced(file, mode=atomic.READ_ONLY) as opened:
                    fill(opened)

    def _renewed(self, digest: Digest) -> bool:
        """Whether the file is there and sound; it is then as new to the garbage collector."""
        file = self._file(digest)
        try:
            self._verified.check(digest, file)
            os.utime(file)
            self._verified.note(digest, file)
        except (OSError, Corrupt):
            return False
        return True


def _stored(file: Path) -> Stored:
    found = file.stat()
    return Stored(digest=file.name, size=found.st_size, modified=found.st_mtime)


def _identity(file: Path) -> _Identity:
    found = file.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _linked(source: Path, file: Path) -> bool:
    """Whether the file could be given this name, too; not one that has it already."""
    if file.exists() and source.samefile(file):
        return False
    try:
        with atomic.renamed(file, mode=atomic.READ_ONLY) as temporary:
            temporary.hardlink_to(source)
    except OSError as error:
        if error.errno in {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP}:
            return False
        raise
    return True


def _copy(source: Path, target: BinaryIO, digest: Digest) -> None:
    """Copy and hash once more: nothing keeps others from writing to the source meanwhile."""
    hashed = hashlib.sha256()
    with source.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hashed.update(chunk)
            target.write(chunk)
    if hashed.hexdigest() != digest:
        raise Failed(f"storing {str(source)!r}: it changed while it was read; try again")


def make_folder(folder: Path) -> None:
    """Make the folder, if it is not there, so that a power cut leaves it there."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        atomic.sync_folder(folder.parent)


@contextmanager
def locked(folder: Path, how: int) -> Iterator[None]:
    """Writers share a folder, and who deletes has it alone; the kernel unlocks when they die."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks has the age of files alone
            fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)


@contextmanager
def as_failed(doing: str) -> Iterator[None]:
    """Errors of a local disk, in one line."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            says = "the disk is full; free some space, and run the command again"
            raise DiskFull(f"{doing}: {says}") from error
        raise Failed(f"{doing}: {error}, and run the command again") from error
