"""The artefact store: bytes in, digests out, and only the right bytes back.

A store is a URL. Which backend keeps the bytes follows from its scheme; naming and verifying them
is the same for all. What the bytes mean, and which of them are still wanted, is known elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fairlead.artifacts.backend import (
    ArtifactBackend,
    Stored,
    checked_digest,
    damaged,
    digest_of,
    digest_of_file,
)
from fairlead.artifacts.folder import FolderBackend
from fairlead.artifacts.gcs import GcsBackend
from fairlead.artifacts.http import HttpBackend
from fairlead.artifacts.remote import FsspecBackend
from fairlead.artifacts.s3 import S3Backend
from fairlead.errors import Failed, Invalid
from fairlead.formatting import without_password
from fairlead.records import CacheFolder, Digest, File
from fairlead.settings import SERVERS


class Artifacts:
    """The artefact store.

    Args:
        root: A folder (made when something is first put), or a URL that fsspec knows such as
            s3://bucket/prefix.
        cache: The folder into which files of a URL are fetched; without one, they have no `path`.

    Raises:
        Invalid: fsspec does not know the URL, or lacks a package for it.
        Unreachable: The URL's server did not answer.
    """

    def __init__(self, root: Path | str, *, cache: CacheFolder | None = None) -> None:
        self._root = str(root)
        self._cache = cache
        self._backend = _backend(root, self._cache)

    @property
    def root(self) -> str:
        """Where it is, for another process to open."""
        return self._root

    @property
    def can_delete(self) -> bool:
        """Whether it removes artefacts: a server that has them does so for nobody."""
        return not self._root.startswith(SERVERS)

    @property
    def cache(self) -> CacheFolder | None:
        """The folder of local copies, for another process to open it with."""
        return self._cache

    def put(self, content: bytes) -> File:
        """Store these bytes; a damaged file of theirs is mended.

        Raises:
            DiskFull: There is no room on the disk; nothing is left behind.
            Failed: The disk cannot be written, or the server refuses; nothing is left behind.
            Unreachable: The server did not answer, or not in time.
        """
        digest = digest_of(content)
        self._backend.write(digest, content)
        return File(digest=digest, size=len(content))

    def put_file(self, path: Path, *, wanted: Digest | None = None) -> File:
        """Store a copy of this file.

        Args:
            path: The file.
            wanted: The digest that it is to have; any if None.

        Raises:
            Failed: As `put`, or the file cannot be read.
            Invalid: It has another digest (code `wrong_digest`); nothing of it is kept.
            Unreachable: The server did not answer.
        """
        try:
            digest, size = digest_of_file(path)
        except OSError as error:
            raise Failed(f"storing {str(path)!r} as an artefact: {error}") from error
        if wanted not in {None, digest}:
            raise Invalid(
                f"what arrived has the digest {digest}, not {wanted}; nothing of it is kept, send "
                "it again",
                code="wrong_digest",
            )
        self._backend.copy(digest, path)
        return File(digest=digest, size=size)

    def adopt(self, path: Path, digest: Digest) -> None:
        """Store this file, to which nobody writes any more, without reading it where that can be.

        Args:
            path: The file.
            digest: Of its bytes, as who wrote them knows it.

        Raises:
            Failed: As `put`.
            Unreachable: The server did not answer.
        """
        self._backend.adopt(checked_digest(digest), path)

    def get(self, digest: Digest) -> bytes:
        """The bytes of this digest, verified.

        Raises:
            Corrupt: They are missing, or are others.
            Unreachable: The server did not answer.
        """
        content = self._backend.read(checked_digest(digest))
        if digest_of(content) != digest:
            raise damaged(digest, without_password(self._root), len(content))
        return content

    def path(self, digest: Digest) -> Path:
        """A local file with these bytes, verified once for as long as it does not change.

        Raises:
            Corrupt: They are missing, or are others.
            Invalid: The store is a URL and has no cache.
            Unreachable: The server did not answer.
        """
        return self._backend.path(checked_digest(digest))

    def exists(self, digest: Digest) -> bool:
        """Whether there is a file of this name; it is not verified."""
        return self._backend.exists(checked_digest(digest))

    def all(self) -> Iterator[Stored]:
        """Every artefact there is, in no particular order."""
        return self._backend.all()

    def delete(self, digest: Digest, *, unless_after: float | None = None) -> None:
        """Remove the artefact, if it is there.

        Args:
            digest: Of the artefact.
            unless_after: What was stored, or stored again, after this time is left alone.
        """
        self._backend.delete(checked_digest(digest), unless_after=unless_after)

    def stale_temporaries(self, *, older_than: float) -> Iterator[Path]:
        """What writers that were killed left behind; the caller may unlink it.

        Args:
            older_than: Seconds since it was last written to.
        """
        return self._backend.stale_temporaries(older_than=older_than)


def _backend(root: Path | str, cache: CacheFolder | None) -> ArtifactBackend:
    if isinstance(root, Path) or "://" not in root:
        return FolderBackend(Path(root).absolute())
    if root.startswith("file://"):  # not through fsspec, which does not care about crashes
        return FolderBackend(Path(unquote(urlsplit(root).path)))
    if root.startswith(SERVERS):
        return HttpBackend(root, cache)
    if root.startswith(("s3://", "s3a://")):
        return S3Backend(root, cache)
    if root.startswith(("gs://", "gcs://")):
        return GcsBackend(root, cache)
    return FsspecBackend(root, cache)
