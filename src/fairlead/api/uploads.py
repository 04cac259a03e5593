"""Uploads in pieces: files of which some bytes are there, under the name of the whole one's digest.

Each is two files of one folder: what it is to become (`ID.json`), and the bytes so far (`ID.part`).
Whoever was cut off, or whose server was restarted, asks how many there are and sends the rest. The
last byte has the whole file verified and put into the artefact store; only then is there anything
that others see. An upload that nobody has gone on with for a day is deleted.

How many there are at once is bounded, of each caller and of all; one client at a time may append to
one.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from fairlead import atomic
from fairlead.artifacts import Artifacts
from fairlead.artifacts.backend import checked_digest
from fairlead.artifacts.folder import as_failed, locked
from fairlead.errors import Conflict, Invalid, NotFound, Overloaded
from fairlead.records import Digest

MOST = 256
MOST_OF_ONE = 32
AGE = 86_400.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Upload:
    """An upload that is not finished.

    Args:
        id: Its name.
        digest: That the whole file is to have.
        size: Bytes of the whole file.
        caller: Whose it is.
        offset: Bytes that are there.
    """

    id: str
    digest: Digest
    size: int
    caller: str
    offset: int = 0


class Uploads:
    """The unfinished uploads of a server.

    Args:
        folder: Where they are; made when the first one begins.
        artifacts: Where they go.
    """

    def __init__(self, folder: Path, artifacts: Artifacts) -> None:
        self._folder = folder
        self._artifacts = artifacts

    def begin(self, digest: str, size: int, caller: str) -> Upload:
        """Begin an upload, or find the one of this caller and file that is not finished.

        Raises:
            Invalid: It is no digest.
            Overloaded: There are too many.
            DiskFull: There is no room on the disk.
        """
        checked_digest(digest)
        with as_failed("beginning an upload"):
            self._folder.mkdir(parents=True, exist_ok=True)
            with locked(self._folder, fcntl.LOCK_EX):
                self._forget_old()
                known = list(self._all())
                for each in known:
                    if (each.digest, each.size, each.caller) == (digest, size, caller):
                        return each
                if sum(each.caller == caller for each in known) >= MOST_OF_ONE:
                    raise Overloaded(
                        f"{MOST_OF_ONE} uploads of yours are not finished; go on with one of them"
                    )
                if len(known) >= MOST:
                    raise Overloaded(f"{MOST} uploads are not finished; try again later")
                return self._made(
                    Upload(id=secrets.token_hex(16), digest=digest, size=size, caller=caller)
                )

    def get(self, upload: str, caller: str) -> Upload:
        """The upload of this id.

        Raises:
            NotFound: This caller has none: it is finished, or too old, or was never begun.
        """
        found = self._read(upload)
        if found is None or found.caller != caller:
            raise NotFound(f"there is no unfinished upload {upload!r}; begin one")
        return found

    def opened(self, upload: Upload, offset: int) -> BinaryIO:
        """The file to append to, which nobody else appends to until it is closed.

        Raises:
            Conflict: Another number of bytes is there, or another request appends to it.
            NotFound: It has gone.
        """
        file = self._alone(upload)
        there = file.seek(0, os.SEEK_END)
        if offset == there:
            return file
        file.close()
        raise Conflict(
            f"{there} bytes of the upload are there, not {offset}: send those from {there} on",
            code="wrong_offset",
        )

    def finish(self, upload: Upload) -> None:
        """Verify a file that is there whole, and put it into the artefact store.

        Raises:
            Invalid: Its bytes have another digest; nothing of it is kept.
            DiskFull: There is no room in the store; the upload stays.
            Unreachable: The store did not answer; the upload stays.
        """
        try:
            self._artifacts.put_file(self._part(upload.id), wanted=upload.digest)
        except Invalid:
            self.forget(upload.id)
            raise
        self.forget(upload.id)

    def forget(self, upload: str) -> None:
        """Delete an upload."""
        for file in (self._about(upload), self._part(upload)):
            file.unlink(missing_ok=True)

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        """The name of a file that is gone afterwards."""
        with as_failed("receiving an artefact"):
            self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / f"{atomic.TEMPORARY}{secrets.token_hex(8)}"
        try:
            yield file
        finally:
            file.unlink(missing_ok=True)

    def _made(self, upload: Upload) -> Upload:
        self._part(upload.id).touch(mode=atomic.PRIVATE, exist_ok=False)
        content = {name: value for name, value in asdict(upload).items() if name != "offset"}
        atomic.write(self._about(upload.id), json.dumps(content).encode(), mode=atomic.PRIVATE)
        return upload

    def _all(self) -> Iterator[Upload]:
        for file in self._folder.glob("*.json"):
            found = self._read(file.stem)
            if found is not None:
                yield found

    def _read(self, upload: str) -> Upload | None:
        if not upload.isalnum():  # it becomes part of a path
            return None
        try:
            about = json.loads(self._about(upload).read_bytes())
            return Upload(**about, offset=self._part(upload).stat().st_size)
        except FileNotFoundError:
            return None

    def _forget_old(self) -> None:
        """And what a server that was killed left behind of files that came in one piece."""
        before = time.time() - AGE
        for file in [*self._folder.glob("*.part"), *self._folder.glob(f"{atomic.TEMPORARY}*")]:
            with suppress(FileNotFoundError):
                if file.stat().st_mtime < before:
                    file.unlink()
                    file.with_suffix(".json").unlink(missing_ok=True)

    def _alone(self, upload: Upload) -> BinaryIO:
        try:
            file = self._part(upload.id).open("r+b")
        except FileNotFoundError:
            raise NotFound(f"the upload {upload.id!r} is no more; begin one") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise Conflict(
                f"another request appends to the upload {upload.id!r}; look at it again",
                code="upload_in_progress",
            ) from None
        return file

    def _about(self, upload: str) -> Path:
        return self._folder / f"{upload}.json"

    def _part(self, upload: str) -> Path:
        return self._folder / f"{upload}.part"
