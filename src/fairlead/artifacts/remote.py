"""Artefacts behind an fsspec URL: ab/abcdef... .

What is asked for as a local file is fetched once into a folder, and verified there. Object stores
show an upload only once it is whole. Every write uploads: to find out whether what is there is
sound would cost as much.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fairlead.artifacts.backend import Stored, damaged, digest_of, is_digest, missing
from fairlead.artifacts.folder import FolderBackend
from fairlead.errors import Corrupt, Invalid, Unreachable
from fairlead.records import Digest


class FsspecBackend:
    """An fsspec URL that keeps artefacts, with a cache of local files.

    Raises:
        Invalid: fsspec does not know the URL, or lacks a package for it.
        Unreachable: The server did not answer.
    """

    def __init__(self, url: str, cache: Path | None) -> None:
        self._url = url
        self._files, self._root = _open_url(url)
        self._cache = None if cache is None else FolderBackend(cache.absolute())

    def write(self, digest: Digest, content: bytes) -> None:
        """Keep these bytes."""
        with self._answering(digest):
            self._files.pipe_file(self._ready(digest), content)

    def copy(self, digest: Digest, source: Path) -> None:
        """Keep a copy of this file."""
        with self._answering(digest):
            self._files.put_file(str(source), self._ready(digest))

    def read(self, digest: Digest) -> bytes:
        """The bytes as they are there."""
        with self._answering(digest):
            content: bytes = self._files.cat_file(self._name(digest))
        return content

    def path(self, digest: Digest) -> Path:
        """The file of this digest in the cache, fetched if it is not there or damaged."""
        if self._cache is None:
            raise Invalid(f"artefact store {self._url!r}: a local file needs a cache folder")
        with suppress(Corrupt):
            return self._cache.path(digest)
        content = self.read(digest)
        if digest_of(content) != digest:
            raise damaged(digest, self._url, len(content))
        self._cache.write(digest, content)
        return self._cache.path(digest)

    def exists(self, digest: Digest) -> bool:
        """Whether there is an object of this name."""
        with self._answering(digest):
            return bool(self._files.exists(self._name(digest)))

    def all(self) -> Iterator[Stored]:
        """Every object that is named as an artefact is."""
        with self._answering("listing"):
            listed = self._files.find(self._root, detail=True)
        for name, found in listed.items():
            digest = name.rpartition("/")[2]
            if is_digest(digest):
                modified = self._files.modified(name).timestamp()
                yield Stored(digest=digest, size=found["size"], modified=modified)

    def delete(self, digest: Digest, *, unless_after: float | None) -> None:
        """Remove the object. Servers have no locks: one stored between the two steps is lost."""
        name = self._name(digest)
        with self._answering(digest), suppress(FileNotFoundError):
            if unless_after is None or self._files.modified(name).timestamp() <= unless_after:
                self._files.rm_file(name)
                if self._cache is not None:
                    self._cache.delete(digest, unless_after=None)

    def stale_temporaries(self, *, older_than: float) -> Iterator[Path]:
        """Those of the cache; the URL has none."""
        if self._cache is not None:
            yield from self._cache.stale_temporaries(older_than=older_than)

    def _name(self, digest: Digest) -> str:
        return f"{self._root}/{digest[:2]}/{digest}"

    def _ready(self, digest: Digest) -> str:
        """The object's name, once its folder is there, where the server has folders."""
        self._files.makedirs(f"{self._root}/{digest[:2]}", exist_ok=True)
        return self._name(digest)

    @contextmanager
    def _answering(self, digest: Digest) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise missing(digest, self._url) from None
        except OSError as error:
            raise Unreachable(
                f"artefact {digest} in {self._url!r}: {error}; see that the server answers and "
                "accepts your credentials, and run the command again"
            ) from error


def _open_url(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise Invalid(f"artefact store {url!r}: {error}") from error
    except OSError as error:
        raise Unreachable(
            f"artefact store {url!r}: {error}; see that the server answers"
        ) from error
    return files, root.rstrip("/")
