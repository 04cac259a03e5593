"""Local copies of artefacts that a server keeps, in a folder that does not outgrow its size.

All processes of a machine that use a store share the folder. A process holds a lock on each file
that it was given a path of, until it ends; who makes room removes files that nobody holds, those
that were not asked for for the longest first. The kernel frees the locks of a process that dies.
One process fetches a file, and others that ask for it meanwhile wait for that.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fairlead import atomic
from fairlead.artifacts.backend import damaged, digest_of_file, is_digest
from fairlead.artifacts.folder import FolderBackend, Verified, as_failed, locked, make_folder
from fairlead.errors import Corrupt
from fairlead.records import CacheFolder, Digest

MOST_HELD = 256
"""Files that a process holds, the last that it asked for: each is an open file. Who has opened or
mapped one that is removed keeps it all the same."""
_FILLED = 0.9  # of the size, once room was made
_UNSEEN = 0.01  # of the size that is fetched before the folder is looked through again
_ABANDONED = 3600.0  # seconds after which nobody writes to a temporary file any more

Fetch = Callable[[Path], None]
"""Writes an artefact's bytes to a new file."""


class Cache:
    """A folder of local copies.

    Args:
        folder: Where it is, and how large it may become.
        source: Where the artefacts come from, for messages.
    """

    def __init__(self, folder: CacheFolder, *, source: str) -> None:
        self._root = Path(folder.path).absolute()
        self._size = folder.size
        self._source = source
        self._verified = Verified()
        self._held = _Held()
        self._unseen: int | None = None  # bytes fetched since the folder was looked through

    def path(self, digest: Digest, fetch: Fetch) -> Path:
        """The file of this digest, fetched if it is not there or damaged.

        Raises:
            Corrupt: What was fetched is damaged.
            DiskFull: There is no room on the disk.
            Failed: The disk cannot be read or written.
        """
        file = self._root / digest[:2] / digest
        with as_failed(f"copying artefact {digest} to {str(self._root)!r}"):
            if self._found(digest, file):
                return file
            make_folder(file.parent)
            with locked(file.parent, fcntl.LOCK_EX):
                if self._found(digest, file):  # another process has fetched it meanwhile
                    return file
                size = self._fetch(digest, file, fetch)
            self._make_room(size)
        return file

    def forget(self, digest: Digest) -> None:
        """Remove the file, if it is there and nobody holds it."""
        _removed(self._root / digest[:2] / digest)

    def stale_temporaries(self, *, older_than: float) -> Iterator[Path]:
        """Files that killed processes had begun to fetch."""
        return FolderBackend(self._root).stale_temporaries(older_than=older_than)

    def _found(self, digest: Digest, file: Path) -> bool:
        """Whether the file is there and sound; it is held from then on."""
        try:
            handle = _locked(file)
        except FileNotFoundError:
            return False
        if not self._sound(digest, file, handle):
            os.close(handle)
            return False
        self._held.add(digest, handle)
        return True

    def _sound(self, digest: Digest, file: Path, handle: int) -> bool:
        if os.fstat(handle).st_nlink == 0:  # it was removed while we waited for the lock
            return False
        try:
            self._verified.check(digest, file)
        except (FileNotFoundError, Corrupt):
            return False
        _note_use(handle)
        return True

    def _fetch(self, digest: Digest, file: Path, fetch: Fetch) -> int:
        """Fetch the file; it is held before others can see it."""
        with atomic.renamed(file, mode=atomic.READ_ONLY) as temporary:
            fetch(temporary)
            found, size = digest_of_file(temporary)
            if found != digest:
                raise damaged(digest, self._source, size)
            self._held.add(digest, _locked(temporary))
        self._verified.note(digest, file)
        return size

    def _make_room(self, fetched: int) -> None:
        """Remove what was not asked for for the longest, if there is more than there may be."""
        unseen = None if self._unseen is None else self._unseen + fetched
        if unseen is not None and unseen < self._size * _UNSEEN:
            self._unseen = unseen
            return
        self._unseen = 0
        for temporary in self.stale_temporaries(older_than=_ABANDONED):
            temporary.unlink(missing_ok=True)
        files = sorted(_files(self._root), key=lambda each: each.used)
        total = sum(each.size for each in files)
        if total <= self._size:
            return
        for each in files:
            if total <= self._size * _FILLED:
                break
            if _removed(each.path):
                total -= each.size


@dataclass(frozen=True, kw_only=True)
class _Copy:
    """A file of the cache."""

    path: Path
    size: int
    used: float  # when it was last asked for


class _Held:
    """The files that this process holds, each by an open file with a shared lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handles: OrderedDict[Digest, int] = OrderedDict()
        weakref.finalize(self, _close_all, self._handles)

    def add(self, digest: Digest, handle: int) -> None:
        """Hold this file, in place of another of its digest; it is ours to close."""
        with self._lock:
            before = self._handles.pop(digest, None)
            self._handles[digest] = handle
            if before is None and len(self._handles) > MOST_HELD:
                _, before = self._handles.popitem(last=False)
        if before is not None:
            os.close(before)


def _close_all(handles: OrderedDict[Digest, int]) -> None:
    while handles:
        os.close(handles.popitem()[1])


def _locked(file: Path) -> int:
    """An open file with a shared lock."""
    handle = os.open(file, os.O_RDONLY)
    with suppress(OSError):  # a file system without locks: nothing is removed there
        fcntl.flock(handle, fcntl.LOCK_SH)
    return handle


def _files(root: Path) -> Iterator[_Copy]:
    for file in root.glob("??/*"):
        if is_digest(file.name):
            with suppress(FileNotFoundError):
                found = file.stat()
                yield _Copy(path=file, size=found.st_size, used=found.st_atime)


def _note_use(handle: int) -> None:
    """Set the time of access, which many disks are mounted not to note; that of change stays."""
    with suppress(OSError):  # it is another user's
        os.utime(handle, ns=(time.time_ns(), os.fstat(handle).st_mtime_ns))


def _removed(file: Path) -> bool:
    """Remove the file, unless somebody holds it or fetches into its folder."""
    try:
        with _alone(file.parent), _alone(file):
            file.unlink(missing_ok=True)
    except OSError:
        return False
    return True


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """An exclusive lock on a file or folder. Raises OSError where others have one."""
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)
