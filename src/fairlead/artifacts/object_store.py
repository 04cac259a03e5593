"""Artefacts in a bucket whose server says what an object holds.

An upload is to make a new object. Where there is one already, what the server tells of its bytes
(an ETag, a checksum) shows whether they are the right ones: a sound object gets a new time of
change, so that the garbage collector takes it for new, and nothing is sent; any other is
overwritten. So a request whose answer was lost may be made again.
"""

from __future__ import annotations

import hashlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, ClassVar
from urllib.parse import urlsplit

from fairlead.artifacts.backend import digest_of
from fairlead.artifacts.folder import as_failed
from fairlead.artifacts.remote import FsspecBackend, changed
from fairlead.errors import Failed, Invalid
from fairlead.records import CacheFolder, Digest

PART = 16 << 20
"""Bytes of a part. What is smaller than two of them is uploaded by one request."""
_LOOKED_FOR = 1 << 20  # so many bytes are not sent before it is known that they are wanted


class ObjectStoreBackend(FsspecBackend, ABC):
    """A bucket that keeps artefacts, under a prefix.

    Args:
        url: scheme://bucket/prefix.
        cache: Where local files are kept; without one there are none.

    Raises:
        Invalid: The URL holds credentials or names no bucket, or the package is not installed.
    """

    package: ClassVar[str]
    extra: ClassVar[str]
    """Of Fairlead, which brings the package."""
    keys: ClassVar[str]
    """What says who we are, instead of the URL."""

    def __init__(self, url: str, cache: CacheFolder | None) -> None:
        scheme = urlsplit(url).scheme
        if "@" in urlsplit(url).netloc:
            raise Invalid(
                f"artefact store: an {scheme}:// URL holds no credentials, which would be shown "
                f"with it; set {self.keys}"
            )
        if not urlsplit(url).netloc:
            raise Invalid(
                f"artefact store {url!r}: it names no bucket, as {scheme}://bucket/prefix does"
            )
        super().__init__(url, cache)

    def _check(self) -> None:
        """See that the package is there; importing it takes longer than many a command."""
        if importlib.util.find_spec(self.package) is None:
            raise Invalid(
                f"artefact store {self._url!r}: a package is missing: pip install "
                f"'fairlead[{self.extra}]'"
            )

    def write(self, digest: Digest, content: bytes) -> None:
        """Keep these bytes."""
        tag = self._tag(
            content[start : start + PART] for start in range(0, len(content) or 1, PART)
        )
        with self._answering(digest):
            if len(content) >= _LOOKED_FOR and self._is_renewed(digest, tag):
                return
            if self._create(digest, content, tag) or self._is_renewed(digest, tag):
                return
            self._overwrite(digest, content, tag)

    def copy(self, digest: Digest, source: Path) -> None:
        """Keep a copy of this file."""
        with as_failed(f"storing {str(source)!r} as an artefact"):
            size = source.stat().st_size
            content = source.read_bytes() if size < 2 * PART else None
        if content is not None:
            if digest_of(content) != digest:
                raise changed(source)
            self.write(digest, content)
            return
        with as_failed(f"storing {str(source)!r} as an artefact"):
            tag = self._checked_tag(source, digest)
        with self._answering(digest):
            if not self._is_renewed(digest, tag):
                self._upload_file(digest, source, size, tag)
                if not self._is_sound(digest, tag):  # or the server tells nothing of the bytes
                    self._check_unchanged(digest, source)

    @abstractmethod
    def _tag(self, parts: Iterable[bytes]) -> str:
        """What the server tells of bytes that are uploaded in these parts, the way `PART` says."""

    @abstractmethod
    def _create(self, digest: Digest, content: bytes, tag: str) -> bool:
        """Make a new object; False if there is one, or the server cannot tell."""

    @abstractmethod
    def _overwrite(self, digest: Digest, content: bytes, tag: str) -> None:
        """Make the object, or put these bytes in the place of what it is."""

    @abstractmethod
    def _upload_file(self, digest: Digest, source: Path, size: int, tag: str) -> None:
        """Make or overwrite the object, of a file of two parts or more."""

    @abstractmethod
    def _is_sound(self, digest: Digest, tag: str) -> bool:
        """Whether the object is there and has the right bytes."""

    @abstractmethod
    def _renew(self, digest: Digest) -> None:
        """Give the object a new time of change."""

    def _is_renewed(self, digest: Digest, tag: str) -> bool:
        """Whether a sound object is there; it is then as new to the garbage collector."""
        if not self._is_sound(digest, tag):
            return False
        try:
            self._renew(digest)
        except OSError:  # it is gone, or too large for that: uploading it says more
            return False
        return True

    def _check_unchanged(self, digest: Digest, source: Path) -> None:
        with as_failed(f"storing {str(source)!r} as an artefact"):
            try:
                self._checked_tag(source, digest)
            except Failed:
                self._files.rm_file(self._name(digest), **self._within())
                raise

    def _checked_tag(self, source: Path, digest: Digest) -> str:
        """The tag of a file whose bytes have this digest. Raises Failed where they have another."""
        hashed = hashlib.sha256()
        with source.open("rb") as file:
            tag = self._tag(_hashing(file, hashed.update))
        if hashed.hexdigest() != digest:
            raise changed(source)
        return tag


def _hashing(file: BinaryIO, update: Callable[[bytes], None]) -> Iterator[bytes]:
    while part := file.read(PART):
        update(part)
        yield part
