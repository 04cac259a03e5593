"""Artefacts in a bucket of Google Cloud Storage.

Who we are it gets as all of Google's programs do: from GOOGLE_APPLICATION_CREDENTIALS, from what
gcloud has stored, or from the machine that this runs on. A server that plays the part of Google's
is named by STORAGE_EMULATOR_HOST, and asked without credentials.

What an object holds the server tells as the MD5 of its bytes, with which each upload is compared,
too. It is renewed by a copy onto itself. gcsfs tries again, with growing pauses, what failed on the
way or what the server could not do now; for how long at most is the caller's bound (remote.py).
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fairlead.artifacts.object_store import PART, ObjectStoreBackend
from fairlead.artifacts.remote import in_a_line
from fairlead.errors import Failed, FairleadError
from fairlead.records import Digest

_EMULATOR = "STORAGE_EMULATOR_HOST"
_CONNECT, _READ = 5.0, 20.0  # seconds
_MAY_NOT = (
    "the server refuses this to whom the credentials belong; see that they are the right ones, "
    "and may list, read, write and delete there"
)
_NO_BUCKET = "there is no such bucket; make it, or name another"
_WRONG = range(400, 500)  # the HTTP status of a request that is wrong
_AGAIN = {408, 409, 412, 429}  # ... save these


class GcsBackend(ObjectStoreBackend):
    """A bucket of Google Cloud Storage that keeps artefacts, under a prefix."""

    package = "gcsfs"
    extra = "gcs"
    keys = "GOOGLE_APPLICATION_CREDENTIALS"

    def _open(self) -> tuple[Any, str]:
        """The file system, and the name of the URL's folder in it.

        It is made here, not by fsspec, which would take one that asks of each bucket over gRPC
        whether it is of a kind that has other uploads.
        """
        if self._opened is None:
            files = _file_system()
            self._opened = files, str(files._strip_protocol(self._given)).rstrip("/")  # noqa: SLF001 - fsspec's name for it
        return self._opened

    def _tag(self, parts: Iterable[bytes]) -> str:
        """The MD5 of all of them."""
        hashed = hashlib.md5(usedforsecurity=False)
        for part in parts:
            hashed.update(part)
        return base64.b64encode(hashed.digest()).decode()

    def _create(self, digest: Digest, content: bytes, tag: str) -> bool:
        """Make a new object; False if there is one."""
        del tag  # gcsfs compares it
        try:
            self._put(digest, content, "create")
        except FileExistsError:
            return False
        return True

    def _overwrite(self, digest: Digest, content: bytes, tag: str) -> None:
        """Make the object, or put these bytes in the place of what it is."""
        del tag
        self._put(digest, content, "overwrite")

    def _put(self, digest: Digest, content: bytes, mode: str) -> None:
        within = self._within(len(content))
        self._files.pipe_file(self._name(digest), content, mode=mode, chunksize=2 * PART, **within)

    def _upload_file(self, digest: Digest, source: Path, size: int, tag: str) -> None:
        """Make or overwrite the object, by an upload that goes on where it was cut off."""
        del tag
        name, within = self._name(digest), self._within(size)
        self._files.put_file(str(source), name, chunksize=PART, **within)

    def _is_sound(self, digest: Digest, tag: str) -> bool:
        """Whether the object is there and has the right bytes."""
        try:
            found = self._files.info(self._name(digest), **self._within())
        except FileNotFoundError:
            return False
        return bool(found.get("md5Hash") == tag)

    def _renew(self, digest: Digest) -> None:
        """Copy the object onto itself."""
        self._files.cp_file(self._name(digest), self._name(digest), **self._within())

    def _modified(self, name: str, found: Mapping[str, Any] | None) -> float:
        """When the object was last changed."""
        found = found or self._files.info(name, **self._within())
        return float(found["mtime"].timestamp())

    def _meaning(self, error: Exception) -> FairleadError | None:
        why = _never_asked(error) or _refusal(error)
        if why is None:
            return None
        return Failed(f"artefact store {self._url!r}: {why}", code="store_refused")


def _file_system() -> Any:
    from aiohttp import ClientTimeout
    from gcsfs.core import GCSFileSystem

    log = logging.getLogger("gcsfs")
    if log.level == logging.NOTSET:  # it logs tracebacks of what is told in a line
        log.setLevel(logging.CRITICAL + 1)
    return GCSFileSystem(
        token="anon" if os.environ.get(_EMULATOR) else "google_default",
        access="read_write",
        consistency="md5",
        requests_timeout=ClientTimeout(sock_connect=_CONNECT, sock_read=_READ),
        use_listings_cache=False,
        skip_instance_cache=True,  # credentials belong to a store, not to the process
    )


def _never_asked(error: Exception) -> str | None:
    """Why the server is not asked, and what to do about it."""
    from google.auth import exceptions as google

    if isinstance(error, google.DefaultCredentialsError):
        return "no credentials were found; set GOOGLE_APPLICATION_CREDENTIALS, or log in by gcloud"
    if isinstance(error, ValueError):
        return f"{in_a_line(error)}; see the bucket's name"
    return None


def _refusal(error: Exception) -> str | None:
    """Why the server will never do this, and what to do about it."""
    if isinstance(error, FileNotFoundError):
        return _NO_BUCKET if str(error).endswith("/o") else None  # what lists it, or uploads to it
    if isinstance(error, OSError):
        return _MAY_NOT if str(error).startswith("Forbidden") else None
    status = getattr(error, "code", None)
    if status == 401:  # noqa: PLR2004 - the status
        return f"the server does not accept the credentials; see {GcsBackend.keys}"
    wrong = status in _WRONG and status not in _AGAIN
    return f"the server refuses this: {in_a_line(error)}" if wrong else None
